"""Hook of mkdocs: the pages are read on GitHub as well, where ../x is a file of the repository.

The site has only docs/: there such a link leads to the repository where ``repo_url`` is set, and shows its path where
it is not.
"""

import re

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(\.\./([^)#\s]+)\)")


def on_page_markdown(markdown: str, page, config, files) -> str:
    """A page's text with the links that leave docs/ replaced."""
    if page.file.src_uri.count("/"):
        return markdown
    base = config.repo_url and f"{config.repo_url.rstrip('/')}/blob/main/"

    def replace(found: re.Match) -> str:
        words, path = found.groups()
        if base:
            return f"[{words}]({base}{path})"
        return f"`{path}`" if path.endswith(words.strip("`")) or words in path else f"{words} (`{path}`)"

    return LINK.sub(replace, markdown)
