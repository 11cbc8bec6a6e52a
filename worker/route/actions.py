"""From an action (a value, common/rules/actions.py) to the function that carries it out. Sans-io.

    run = compile_action(action, Ruleset.HTTP_REQUEST, environment)
    verdict = run(exchange)                     # None: go on with the next rule

Done once per rule, when the worker starts: at run time nothing is looked up, parsed or decided that could be known before.
"""

from __future__ import annotations

from collections.abc import Callable

from common.acl.environment import CompileEnvironment
from common.rules import actions as a
from common.rules.rulesets import Ruleset
from worker.route import edits, effects
from worker.route.replies import compile_challenge, compile_redirect, compile_reply
from worker.route.subject import Subject
from worker.route.verdicts import (
    ALLOW,
    CLOSE_SERVER,
    REJECT,
    SWITCH_TO_HTTP,
    AwaitBody,
    Cause,
    Delay,
    Drop,
    Respond,
    Serve,
    Verdict,
    Wait,
)

Run = Callable[[Subject], Verdict | None]


def compile_action(action: a.Action, ruleset: Ruleset, environment: CompileEnvironment) -> Run:
    """Raises ExpressionError for what only shows now (an error file that is none, a map that nothing loads)."""
    at = environment.at(ruleset.where)
    response = ruleset.is_response
    match action:
        case a.Accept():
            return lambda subject: ALLOW
        case a.Reject():
            return lambda subject: REJECT
        case a.Close():
            return lambda subject: CLOSE_SERVER
        case a.SwitchMode():
            return lambda subject: SWITCH_TO_HTTP
        case a.UseService(name):
            serve = Serve(name)
            return lambda subject: serve
        case a.SilentDrop(ttl):
            drop = Drop(ttl)
            return lambda subject: drop
        case a.Deny() | a.Return() | a.Tarpit() | a.Authenticate() | a.Redirect():
            return _answering(action, at)
        case a.WaitForBody(time_s, at_least_bytes):
            wait = AwaitBody(time_s, at_least_bytes)
            return lambda subject: wait
        case a.Pause():
            return _pause(action)
    return _quiet(_edit(action, response) or _effect(action, at, response))


def _quiet(run: Callable[[Subject], object]) -> Run:
    """What edits returns None, or a verdict; effects only None. One type for all."""
    return run  # type: ignore[return-value]


def _answering(action: a.Action, environment: CompileEnvironment) -> Run:
    match action:
        case a.Deny(reply):
            denial = compile_reply(reply, environment)
            return lambda subject: Respond(denial(subject), Cause.DENIED)
        case a.Return(reply):
            service = compile_reply(reply, environment)
            return lambda subject: Respond(service(subject), Cause.SERVED)
        case a.Tarpit(reply):
            late = compile_reply(reply, environment)
            return lambda subject: Delay(late(subject))
        case a.Authenticate():
            challenge = compile_challenge(action)
            return lambda subject: Respond(challenge(subject), Cause.SERVED)
    assert isinstance(action, a.Redirect)
    redirect = compile_redirect(action)

    def run(subject: Subject) -> Verdict | None:
        answer = redirect(subject)
        return None if answer is None else Respond(answer, Cause.SERVED)

    return run


def _pause(action: a.Pause) -> Run:
    if action.expression is None:
        wait = Wait(action.duration_s)
        return lambda subject: wait
    get = effects.number_of(action.expression)

    def run(subject: Subject) -> Verdict | None:
        duration_ms = get(subject)
        return Wait(duration_ms / 1000) if duration_ms is not None and duration_ms > 0 else None

    return run


def _edit(action: a.Action, response: bool) -> Callable[[Subject], object] | None:
    """Rewriting of heads; None for any other action."""
    match action:
        case a.AddHeader():
            return edits.add_header(action, response)
        case a.SetHeader():
            return edits.set_header(action, response)
        case a.DeleteHeader():
            return edits.delete_header(action, response)
        case a.DeleteHeaders():
            return edits.delete_headers(action, response)
        case a.ReplaceHeader():
            return edits.replace_header(action, response)
        case a.EarlyHint():
            return edits.early_hint(action)
        case a.SetMethod():
            return edits.set_method(action)
        case a.SetTarget():
            return edits.set_target(action)
        case a.ReplaceTarget():
            return edits.replace_target(action)
        case a.NormalizeUri():
            return edits.normalize_uri(action)
        case a.SetStatus():
            return edits.set_status(action)
    return None


def _effect(action: a.Action, environment: CompileEnvironment, response: bool) -> Callable[[Subject], object]:
    """Everything that is no verdict and rewrites no head."""
    match action:
        case a.SetVariable():
            return effects.set_variable(action)
        case a.UnsetVariable():
            return action.unset
        case a.ChangeList():
            return effects.change_list(action, environment)
        case a.Track():
            return effects.track(action, environment)
        case a.ChangeCounter():
            return effects.change_counter(action)
        case a.Capture():
            return effects.capture(action, response)
        case a.SetAddress():
            return effects.set_address(action)
        case a.SetPort():
            return effects.set_port(action)
        case a.SetSocketOption():
            return effects.set_socket_option(action)
        case a.SetPriority():
            return effects.set_priority(action)
        case a.SetTimeout():
            return effects.set_timeout(action)
        case a.SetRetries():
            return effects.set_retries(action)
        case a.DoLog(profile):
            return lambda subject: subject.log_now(profile)
    return _setting(action)


def _setting(action: a.Action) -> Callable[[Subject], object]:
    """One attribute of the exchange."""
    match action:
        case a.SetLogLevel(level):
            return _assign("log_level", level)
        case a.StrictMode(on):
            return _assign("rewriting_is_lenient", not on)
        case a.DisableL7Retry():
            return _assign("l7_retry_disabled", True)
        case a.SetIdempotent(on):
            return _assign("idempotent_rule", on)
        case a.ExpectProxy():
            return _assign("expects_proxy", True)
        case a.SetNice() | a.WaitForHandshake():
            # Exchanges have no priorities among each other: each runs until it waits. The handshake is over before a request is read.
            return lambda subject: None
    raise AssertionError(f"{type(action).__name__} has no function")


def _assign(name: str, value: object) -> Callable[[Subject], None]:
    def assign(subject: Subject) -> None:
        setattr(subject, name, value)

    return assign
