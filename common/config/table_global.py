"""Rows of section global: the processes, their user, files and environment.

Sans-io.
Source: HAProxy configuration manual 3.1.
"""

from __future__ import annotations

from common.config import global_words as words
from common.config.global_rows import ANY, one, ours, row
from common.config.keywords import Keyword
from common.config.proxy_words import SectionParser
from common.config.stats_socket import parse_stats_maxconn, parse_stats_socket, parse_stats_timeout

ROWS: tuple[Keyword[SectionParser], ...] = (
    ours(
        "workers",
        "<number>",
        words.integer("workers", most=words.NBPROC_MAX),
        "Worker processes, where no bind names its process.",
        default="one per usable core",
    ),
    ours(
        "dispatchers",
        "<number>",
        words.integer("dispatchers", least=1, most=words.NBPROC_MAX),
        "Dispatcher processes, sharing the listening ports.",
        default="1",
    ),
    ours(
        "channel-uids",
        "<uid> […]",
        words.channel_uids,
        "Other users whose processes may speak on our abstract sockets.",
        1,
        ANY,
        default="our own user and root",
    ),
    one(
        "nbproc",
        "<number>",
        words.integer("nbproc", least=1, most=words.NBPROC_MAX),
        "Processes that `process` on bind lines counts; HAProxy dropped it in 2.5, kept here.",
        "2.4: 3.1",
    ),
    one("ca-base", "<directory>", words.base("ca_base"), "Where relative ca-file and crl-file names of the lines below start."),
    one("crt-base", "<directory>", words.base("crt_base"), "Where relative crt names of the lines below start."),
    one(
        "chroot",
        "<directory>",
        words.once(words.text("chroot", "a directory")),
        "The processes lock themselves into this directory after the start.",
    ),
    row("cpu-map", "[auto:]<process>[/<thread>] <cpus> […]", words.cpu_map, "Cores that processes may run on.", 2, ANY),
    row("daemon", "", words.daemon, "Runs in the background, as -D."),
    row(
        "default-path",
        "{current|config|parent|origin <path>}",
        words.default_path,
        "Where relative file names start.",
        1,
        2,
        default="current",
    ),
    row("description", "<text>", words.description, "Shown by the statistics.", 1, ANY),
    row("expose-experimental-directives", "", words.experimental, "Allows words that are marked experimental."),
    row("expose-deprecated-directives", "", words.switch, "Allows deprecated words without a warning.", manual="3.3: 3.1"),
    one("fd-hard-limit", "<number>", words.checked(words.number(1)), "The most descriptors used, whatever the system allows."),
    one("fd-soft-limit", "<number>", words.checked(words.number(1)), "Descriptors the service asks the system for.", "3.4: 3.1"),
    one(
        "force-cfg-parser-pause", "<time>", words.checked(words.duration()), "Waits while reading the configuration; for tests.", "3.2: 3.1"
    ),
    one("gid", "<number>", words.identity("group"), "Group that processes change to, by number."),
    one("grace", "<time>", words.time("grace"), "Time between SIGUSR1 and the end of accepting."),
    one("group", "<name>", words.identity("group"), "Group that processes change to."),
    one("hard-stop-after", "<time>", words.time("hard_stop_after"), "The longest time that an old generation or a soft stop may take."),
    one(
        "close-spread-time", "<time>|infinite", words.close_spread_time, "Idle connections are closed spread over this time at a soft stop."
    ),
    row("h1-accept-payload-with-any-method", "", words.switch, "Accepts bodies in HTTP/1.0 GET, HEAD and DELETE requests."),
    row("h1-case-adjust", "<from> <to>", words.h1_case_adjust, "How a field name is written towards peers that insist on capitals.", 2, 2),
    one("h1-case-adjust-file", "<file>", words.h1_case_adjust_file, "A file of such pairs, two names per line."),
    row(
        "h1-do-not-close-on-insecure-transfer-encoding",
        "",
        words.switch,
        "Keeps the connection after a request with both lengths.",
        manual="3.2: 3.1",
    ),
    one(
        "harden.reject-privileged-ports.tcp",
        "[on|off]",
        words.checked(words.choice("on", "off")),
        "Refuses clients whose source port is below 1024.",
        "2.7: 3.1",
    ),
    row("insecure-fork-wanted", "", words.switch, "HAProxy's permission to fork; workers here never do.", no=True),
    row("insecure-setuid-wanted", "", words.switch, "Leaves setuid programs usable for children.", no=True),
    one("localpeer", "<name>", words.localpeer, "Name of this machine among peers."),
    row(
        "log",
        "<target> [len <length>] [format <format>] [sample <ranges>:<size>] <facility> [<level> [<minlevel>]]",
        words.log,
        "Where messages of the processes, and of proxies with `log global`, go.",
        0,
        ANY,
        no=True,
    ),
    row("log-send-hostname", "[<name>]", words.log_send_hostname, "Puts a host name into log messages.", 0, 1),
    one("log-tag", "<text>", words.text("log_tag", "a tag"), "Program name in log messages.", default="usher"),
    row("master-worker", "[no-exit-on-failure]", words.master_worker, "Runs under a master, as -W; here there always is one.", 0, 1),
    one("mworker-max-reloads", "<number>", words.checked(words.number()), "Reloads that an old generation may outlive."),
    one("node", "<name>", words.node, "Name of this machine in statistics."),
    one("pidfile", "<file>", words.once(words.text("pidfile", "a file name")), "File with the number of the started process, as -p."),
    row("pp2-never-send-local", "", words.switch, "Health checks send PROXY headers as for clients, for servers that do not know LOCAL."),
    row(
        "presetenv",
        "<name> <value>",
        words.set_environment(overwrite=False),
        "Sets a variable for the lines below unless it exists.",
        0,
        ANY,
    ),
    row("setenv", "<name> <value>", words.set_environment(overwrite=True), "Sets a variable for the lines below.", 0, ANY),
    row("unsetenv", "<name> […]", words.unset_environment, "Removes variables for the lines below.", 1, ANY),
    row("resetenv", "[<name> …]", words.reset_environment, "Removes every variable but those named.", 0, ANY),
    one("server-state-base", "<directory>", words.extra, "Where relative names of state files start."),
    one("server-state-file", "<file>", words.extra, "File from which the states of servers are taken at the start."),
    row("set-dumpable", "[on|off|libs]", words.switch, "Leaves memory dumps possible after the change of user.", 0, 1, no=True),
    row("set-var", "<name> <expression>", words.variable, "Sets a proc. variable at the start.", 2, ANY),
    row("set-var-fmt", "<name> <format>", words.variable, "Sets a proc. variable at the start, from a log-format.", 2, 2),
    row(
        "setcap",
        "<name>[,…]",
        words.setcap,
        "Capabilities kept after the change of user: cap_net_bind_service, cap_net_raw, cap_net_admin.",
        1,
        1,
        "2.9: 3.1",
    ),
    one("stats-file", "<file>", words.extra, "File with counters to start from.", "3.0: 3.1"),
    row(
        "stats socket",
        "<address> [level <level>] [mode <mode>] [expose-fd listeners] […]",
        parse_stats_socket,
        "A socket for operators' commands.",
        0,
        ANY,
    ),
    one("stats timeout", "<time>", parse_stats_timeout, "Idle time on such a socket.", default="10s"),
    one("stats maxconn", "<number>", parse_stats_maxconn, "Operators connected at one time.", default="10"),
    row("strict-limits", "", words.switch, "Refuses to start when descriptor limits cannot be set.", no=True, default="on"),
    one("uid", "<number>", words.identity("user"), "User that processes change to, by number."),
    one("user", "<name>", words.identity("user"), "User that processes change to."),
    one("ulimit-n", "<number>", words.once(words.checked(words.number(1))), "Descriptors per process.", default="from maxconn"),
    row(
        "unix-bind",
        "[prefix <path>] [mode <mode>] [user <name>] [uid <uid>] [group <name>] [gid <gid>]",
        words.unix_bind,
        "Presets of unix sockets on bind lines.",
        0,
        ANY,
    ),
    one(
        "warn-blocked-traffic-after",
        "<time>",
        words.checked(words.duration()),
        "How long a worker may hang before a warning is logged.",
        "3.1: 3.1",
    ),
)
