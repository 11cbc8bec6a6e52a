"""All stick tables that a configuration declares: of proxies by their name, of peers sections as SECTION/TABLE. Sans-io.

Source: HAProxy manual 4.2 "stick-table", "stick on"; 3.5 "table".
"""

from __future__ import annotations

from common.model import Config, Rule
from common.tables.definition import TableDefinition, read_definition

STICK = "stick"


def definitions(config: Config) -> dict[str, TableDefinition]:
    """name -> table, in the order of the file."""
    serving = {table_of(rule, proxy.name) for proxy in config.proxies for rule in proxy.rules if rule.ruleset == STICK}
    lines = {proxy.name: proxy.stick_table for proxy in config.proxies if proxy.stick_table}
    lines |= {f"{peers.name}/{name}": words for peers in config.peers.values() for name, words in peers.tables.items()}
    return {name: read_definition(name, words, keeps_servers=name in serving) for name, words in lines.items()}


def table_of(rule: Rule, proxy: str) -> str:
    """The table that a `stick` rule of that proxy is about."""
    words = rule.words
    return words[-1] if len(words) > 3 and words[-2] == "table" else proxy
