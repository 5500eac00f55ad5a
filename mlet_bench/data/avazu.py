"""Avazu: the Click-Through Rate Prediction competition's training file, ten days of hours."""

from mlet_bench.data.format import Column, RawFormat

# The order of the file; id and hour are no categories.
KINDS = {
    "id": "digits",  # up to 20 digits, beyond 64 bits
    "click": "label",
    "hour": "hour",
    "C1": "int",
    "banner_pos": "int",
    **dict.fromkeys(("site_id", "site_domain", "site_category", "app_id", "app_domain", "app_category"), "hex"),
    **dict.fromkeys(("device_id", "device_ip", "device_model"), "hex"),
    **dict.fromkeys(("device_type", "device_conn_type", *(f"C{number}" for number in range(14, 22))), "int"),
}
FIELDS = tuple(KINDS)[3:]

# Distinct values of the complete file, C1 to C21.
TABLE_SIZES = (
    *(7, 7, 4737, 7745, 26, 8552, 559, 36, 2686408, 6729486, 8251),
    *(5, 4, 2626, 8, 9, 435, 4, 68, 172, 60),
)

FORMAT = RawFormat(
    name="avazu",
    separator=b",",
    header=True,
    columns=tuple(Column(name, kind) for name, kind in KINDS.items()),
    dense=("hour",),
    fields=FIELDS,
    splits=("random", "last-day"),
    full_rows=40_428_967,
    full_clicks=6_865_066,
    full_table_sizes=TABLE_SIZES,
)
