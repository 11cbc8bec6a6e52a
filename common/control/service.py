"""Starting the service: from a checked configuration to a master that runs, and its exit code.

The order matters. Files are read and sockets bound in the process that was called, as the user that called it, so that
its terminal sees every fault. Then it goes to the background, if it is to; then the zygote is forked, while there is
neither thread nor event loop; and only then trio starts. Everything that only a running service needs is imported after the
fork of the zygote, which meanwhile imports the two programs on another core.

Source: HAProxy management guide 3, 4.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from common.control import configuration, daemon
from common.control.arguments import Options
from common.control.console import Console
from common.errors import ConfigError, UsherError
from common.model import Config, last_word
from common.process import limits, zygote
from common.process.launch import DISPATCHER, WORKER
from common.process.plan import Plan, plan
from common.process.switches import is_on

if TYPE_CHECKING:
    from common.control.generation import Blueprint
    from common.control.master import Task

ENTRIES = {DISPATCHER: "dispatcher.main:run", WORKER: "worker.main:run"}
TICKETS = "worker.tickets:make_ring"  # contexts made before the fork share their ticket keys
EXIT_FAILURE = 1
HELD = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Service:
    """What is to be started. role: one tier alone, "" for both. entries: role -> "module:function".

    tasks: what the master runs beside its processes. ready: called when the service serves.
    """

    options: Options
    role: str = ""
    entries: Mapping[str, str] = field(default_factory=lambda: ENTRIES)
    tasks: Sequence[Task] = ()
    ready: Callable[[], None] = lambda: None


def run(service: Service) -> int:
    """Run the service to its end and return its exit code; a service that a signal ended may end by that signal instead."""
    options = service.options
    console = Console(quiet=options.quiet)
    try:
        blueprint = prepare(service, console)
        _remark(options, console)
        return _run(service, blueprint, console)
    except UsherError as error:
        if str(error):
            console.alert(str(error))
        return EXIT_FAILURE


def _remark(options: Options, console: Console) -> None:
    """Options that are taken and do something else than in HAProxy are never silent."""
    if options.old_socket is not None:
        console.notice("-x: no sockets are taken over from the old process; addresses are bound beside it and shared until it leaves")


def prepare(service: Service, console: Console) -> Blueprint:
    """Read, check and plan. Raises UsherError with everything that is wrong. For the first start and for every reload."""
    from common.control.beginnings import beginnings
    from common.control.generation import Blueprint

    options = service.options
    reading = configuration.read(options)
    console.quiet = options.quiet
    console.show(configuration.shown(reading.diagnostics, options))
    if reading.config is None:
        raise ConfigError("config : Fatal errors found in configuration.")
    if reading.warnings and options.zero_warning:
        raise ConfigError("config : Some warnings were found and 'zero-warning' is set. Aborting.")
    config = reading.config
    whole = plan(config, limits.usable_cores())
    part = _part(whole, service, config)
    config = _limited(config, whole, console)
    return Blueprint(
        config=config,
        whole=whole,
        plan=part,
        environment=reading.environment,
        debug=frozenset(options.debug),
        reuseport=not is_on(config.globals, "noreuseport"),
        memory_bytes_max=_memory_share(options, part, console),
        entries=service.entries,
        imports=imports(config, part, service.entries),
        beginnings=beginnings(config, console.warning),
    )


def _part(whole: Plan, service: Service, config: Config) -> Plan:
    """What of the plan this command runs."""
    if not service.role:
        if service.options.process is not None:
            raise ConfigError("option '--process' is for usher-worker and usher-dispatcher, which run one tier alone")
        return whole
    part = whole.only(service.role, service.options.process)
    if not part.processes:
        numbers = ", ".join(str(process.number) for process in whole.of(service.role)) or "none"
        wanted = f" {service.options.process}" if service.options.process is not None else ""
        raise ConfigError(f"no {service.role}{wanted} in {', '.join(config.files)}; the {service.role}s there are: {numbers}")
    return part


def _limited(config: Config, whole: Plan, console: Console) -> Config:
    """Raise the limit on open files as far as it goes, and lower maxconn to what it allows."""
    extra = config.globals.extra
    asked, ceiling, goal = (int(last_word(extra, name, "0")) for name in ("ulimit-n", "fd-hard-limit", "fd-soft-limit"))
    descriptors = limits.raise_descriptors(max(asked, limits.descriptors_needed(config)), ceiling, goal)
    if asked > descriptors and not ceiling and not goal:
        # What somebody wrote down is refused (`strict-limits`, the default); what follows from maxconn is only told, below.
        message = f"[usher.main()] Cannot raise FD limit to {asked}, limit is {descriptors}."
        if extra.get("strict-limits", ((),))[-1] != ("off",):
            raise ConfigError(message)
        console.warning(message)
    found = limits.effective_maxconn(config, whole, descriptors)
    if found.notice:
        console.notice(found.notice)
    config.globals.maxconn = found.value
    return config


def _memory_share(options: Options, part: Plan, console: Console) -> int:
    """-m is for all processes together."""
    if not options.memory_megabytes:
        return 0
    share = (options.memory_megabytes << 20) // max(1, len(part.processes))
    if share < limits.MEMORY_FLOOR_BYTES:
        floor = limits.MEMORY_FLOOR_BYTES >> 20
        console.notice(f"-m {options.memory_megabytes} leaves {share >> 20} MB to each process, which needs {floor}: {floor} holds")
        return limits.MEMORY_FLOOR_BYTES
    return share


def _run(service: Service, blueprint: Blueprint, console: Console) -> int:
    from common.control.generation import Generation
    from common.control.listeners import ListenError, Listeners
    from common.process.shared_tables import SharedTables

    options, settings = service.options, blueprint.config.globals
    listeners = Listeners()
    tables = SharedTables()
    hold_signals()
    try:
        first = Generation(blueprint, 1, listeners, tables)
    except ListenError as error:
        raise ConfigError(f"{error}\n[usher.main()] Some protocols failed to start their listeners! Exiting.") from error
    except OSError as error:
        raise ConfigError(f"cannot make the service's own sockets: {error.strerror or error}") from error
    verdict: daemon.Verdict | None = None
    if settings.daemon:
        detached = daemon.detach(console)
        if isinstance(detached, int):
            return detached
        verdict = detached
    _write_pidfile(settings.pidfile)
    channel, zygote_pid = zygote.start_by_fork()

    import trio

    from common.control.checks import Checks
    from common.control.master import Master
    from common.control.operator import Operator
    from common.control.operator_orders import obey
    from common.control.resolving import Resolving
    from common.control.service_log import ServiceLog
    from common.process.spawner import Spawner

    log = ServiceLog(console, os.getpid())
    operators: list[Operator] = []
    checks: list[Checks | Resolving] = []

    def serving(generation: Generation) -> None:
        log.open(generation.blueprint.config.globals)
        for operator in operators:
            operator.serving(generation)
        for check in checks:
            check.serving()
        if generation is not first:
            return
        daemon.release(options.finish, options.terminate)
        if verdict:
            verdict.running()
            daemon.silence(console)
        service.ready()

    async def main() -> int:
        spawner = Spawner(channel, zygote_pid, blueprint.imports, console.warning)

        async def serve_operators(_master: Master) -> None:
            await operators[0].run()

        async def check_servers(_master: Master) -> None:
            await checks[0].run()

        async def resolve_names(_master: Master) -> None:
            await checks[1].run()

        tasks = [lambda _master: log.drain(), serve_operators, check_servers, resolve_names, *service.tasks]
        master = Master(spawner, listeners, tables, console, lambda: prepare(service, console), serving, tasks)
        operators.append(Operator(master, console, options.master_socket or ""))
        master.orders = partial(obey, operators[0].plane)
        checking = Checks(operators[0].plane, console)
        checks.extend((checking, Resolving(operators[0].plane, console)))
        master.observed = checking.observed
        started = await master.run(first)
        return master.exit_signal if started or master.exit_signal else -EXIT_FAILURE

    return _exit_code(trio.run(main), options)


def hold_signals() -> None:
    """From the moment that sockets accept, a signal is meant for the service: it waits until the master can obey it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD)


def imports(config: Config, part: Plan, entries: Mapping[str, str]) -> list[str]:
    """What the zygote loads: the programs that are needed and, if anything speaks TLS, the ring of ticket contexts."""
    roles = {process.role for process in part.processes}
    modules = [entry.partition(":")[0] for role, entry in entries.items() if role in roles]
    binds = [bind for proxy in config.proxies for bind in proxy.binds]
    if WORKER in roles and entries[WORKER] == ENTRIES[WORKER] and any(bind.tls for bind in binds):
        modules.append(TICKETS)
    return modules


def _write_pidfile(path: str | None) -> None:
    if path:
        try:
            daemon.write_pidfile(path)
        except OSError as error:
            raise ConfigError(f"Cannot create pidfile {path} : {error.strerror}") from error


def _exit_code(end: int, options: Options) -> int:
    """end: a signal's number, 0 for an end of its own (soft stop), negative for a start that failed.

    As HAProxy: with -W an interrupted master exits with 130 and a terminated one with 0; without, the signal itself is how
    the process ends, so that a shell or a service manager sees what ended it.
    """
    if end < 0:
        return -end
    if options.master_worker:
        return 128 + signal.SIGINT if end == signal.SIGINT else 0
    if end:
        signal.signal(end, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {end})
        os.kill(os.getpid(), end)
    return 0
