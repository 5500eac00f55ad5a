"""What YAML allows and no configuration means: tags, floods of aliases, keys that stand twice."""

import resource
import time

import pytest
import yaml
from staged import call
from test_config import SMALL

from mlet_bench.config import check_config, load_config
from mlet_bench.config_file import check_extent, read_yaml
from mlet_bench.errors import BenchError

NINE = ", ".join(["{}"] * 9)
LAUGHS = "seeds:\n- &a0 [" + NINE.format(*"123456789") + "]\n"
LAUGHS += "".join(f"- &a{n} [{NINE.format(*[f'*a{n - 1}'] * 9)}]\n" for n in range(1, 15))  # 9^15 values
REFUSED = {
    "a tag that runs a command": ("profile: !!python/object/apply:os.system [touch RAN]\n", "is no YAML: .*os.system"),
    "a tag that makes an object": ("profile: !!python/object/new:os.system [touch RAN]\n", "is no YAML: .*os.system"),
    "a tag that names a module": ("profile: !!python/module:antigravity\n", "is no YAML: .*antigravity"),
    "a tag of one's own": ("profile: !mine x\n", "is no YAML: .*'!mine'"),
    "aliases by the billion": (LAUGHS, "more than 100,000 values, aliases written out"),
    "an alias within its own block": ("datasets: &d {avazu: *d}\n", "an alias within its own block"),
    "a list within itself": ("dims: &d [*d]\n", "an alias within its own block"),
    "5,000 levels": ("dims: " + "[" * 5000 + "]" * 5000, "nests too deeply"),
    "a key twice": ("arms: [single]\ndims: [4]\narms: [mlet]\n", "the key 'arms' twice, in lines 1 and 3"),
    "a key twice, below": ("datasets:\n  avazu: {rows: 1,\n rows: 2}\n", "the key 'rows' twice, in lines 2 and 3"),
    "an alias of nothing": ("dims: *d\n", "is no YAML: .*undefined alias 'd'"),
    "another encoding": ("profile: \udcff\n", "is no YAML: .*position 9"),
    "a NUL byte": ("profile: a\0b\n", "is no YAML: .*#x0000"),
    "no keys": ("- profile\n", "holds no keys"),
    "nothing": ("", "holds no keys"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_no_configuration_means_is_refused_by_a_sentence(tmp_path, monkeypatch, capsys, kind):
    text, sentence = REFUSED[kind]
    (tmp_path / "mine.yaml").write_bytes(text.encode(errors="surrogateescape"))
    monkeypatch.chdir(tmp_path)
    before, clock = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(BenchError, match=f"mine.yaml .*{sentence}"):
        load_config(["mine.yaml"])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert time.monotonic() - clock < 10 and not (tmp_path / "RAN").exists()
    assert call("plan", "mine.yaml") == 2 and "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("values", [yaml.safe_load(LAUGHS)["seeds"], REFUSED["5,000 levels"]])
def test_a_configuration_that_something_else_has_read_is_held_to_the_same(values):
    with pytest.raises(BenchError, match=r"config\.? .*no configuration does|config.* is "):
        check_config(SMALL | {"seeds": values})


def test_anchors_aliases_and_merges_mean_what_yaml_says(tmp_path):
    text = """
    profile: toy
    datasets: {avazu: &rows {source: synthesize, rows: 1000}, criteo-kaggle: {<<: *rows, rows: 2000}}
    arms: &arms [single, mlet]
    controls: {enabled: true, arms: *arms, dims: [16]}
    dims: [4]
    inner_dims: [16]
    seeds: [0]
    """
    (tmp_path / "mine.yaml").write_text(text)
    found = load_config([str(tmp_path / "mine.yaml")])
    assert {name: each["rows"] for name, each in found["datasets"].items()} == {"avazu": 1000, "criteo-kaggle": 2000}
    assert found["controls"]["arms"] == found["arms"] == ["single", "mlet"]


def test_the_extent_counts_a_block_wherever_it_stands():
    block = list(range(1000))
    check_extent({"a": [block] * 99}, "config")  # 99,101 values
    with pytest.raises(BenchError, match="more than 100,000 values"):
        check_extent({"a": [block] * 100}, "config")


def test_json_is_read_too(tmp_path):
    (tmp_path / "config.json").write_text('{"profile": "a", "dims": [4,\t8]}')
    assert read_yaml(tmp_path / "config.json") == {"profile": "a", "dims": [4, 8]}
