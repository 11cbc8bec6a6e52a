"""Style and script of the statistics page, and the policy that allows just these two. Sans-io.

The page works without the script (it then reloads as a whole); with it only the tables are renewed, so that what is
typed, ticked and scrolled stays.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

STYLE: Final = """
:root {
  color-scheme: light dark;
  --ground: #f6f7f9; --card: #fff; --head: #eef1f6; --line: #e3e7ee;
  --ink: #1d2430; --soft: #5d6a7e; --accent: #2f6fdb;
  --up: #176b40; --up-ground: #e3f5ea; --warn: #8a5c00; --warn-ground: #fdf1d3; --down: #b42318; --down-ground: #fde7e4;
  --maint: #5b4bb5; --maint-ground: #ece9fb; --idle: #52606f; --idle-ground: #eceff3;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161c; --card: #1a2029; --head: #212935; --line: #2b3440;
    --ink: #e5e9f0; --soft: #9aa8ba; --accent: #7fb0ff;
    --up: #5fd08f; --up-ground: #153626; --warn: #f0c35a; --warn-ground: #3a2f12; --down: #ff8f84; --down-ground: #431d1a;
    --maint: #b9adff; --maint-ground: #2a2553; --idle: #a9b6c6; --idle-ground: #28313c;
  }
}
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 14px/1.45 system-ui, "Segoe UI", Roboto, sans-serif }
header {
  position: sticky; top: 0; z-index: 2; display: flex; flex-wrap: wrap; gap: .4rem 1.4rem; align-items: center;
  padding: .7rem 1.2rem; background: var(--card); border-bottom: 1px solid var(--line);
}
h1 { font-size: 1.05rem; margin: 0 }
small { color: var(--soft); font-weight: 400; font-size: .85em }
h1 small { margin-left: .5rem }
.facts { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; color: var(--soft); font-variant-numeric: tabular-nums }
.facts b { color: var(--ink); font-weight: 600 }
.tools { margin-left: auto; display: flex; gap: .6rem; align-items: center }
input[type=search], select, button {
  font: inherit; color: inherit; background: var(--ground); border: 1px solid var(--line); border-radius: 6px; padding: .25rem .6rem;
}
button { cursor: pointer }
button:hover, select:hover { border-color: var(--accent) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px }
a { color: var(--accent) }
main { display: grid; gap: 1rem; padding: 1rem 1.2rem 3rem; grid-template-columns: minmax(0, 1fr) }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; overflow: hidden }
h2 { display: flex; gap: .6rem; align-items: baseline; font-size: .95rem; margin: 0; padding: .6rem .9rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; white-space: nowrap; font-variant-numeric: tabular-nums }
th, td { padding: .32rem .6rem; text-align: right; border-top: 1px solid var(--line) }
th { background: var(--head); font-weight: 600; font-size: .78rem; color: var(--soft) }
th:first-child, td:first-child, .text { text-align: left }
tr.total td { background: var(--head) }
.name { font-weight: 600 }
.state { display: inline-block; padding: .05rem .5rem; border-radius: 99px; font-size: .8rem; font-weight: 600 }
.up { color: var(--up); background: var(--up-ground) }
.warn { color: var(--warn); background: var(--warn-ground) }
.down { color: var(--down); background: var(--down-ground) }
.maint { color: var(--maint); background: var(--maint-ground) }
.idle { color: var(--idle); background: var(--idle-ground) }
.bad { color: var(--down); font-weight: 600 }
.spark { width: 90px; height: 22px; display: block; margin-left: auto }
.spark path { fill: none; stroke: var(--accent); stroke-width: 1.4; vector-effect: non-scaling-stroke }
.orders { display: flex; flex-wrap: wrap; gap: .6rem; padding: .6rem .9rem; border-top: 1px solid var(--line) }
.note { margin: 0; padding: .5rem .9rem; border-radius: 8px }
.stale .facts { opacity: .5 }
[hidden] { display: none !important }
@media (max-width: 700px) {
  header { position: static }
  .tools { margin-left: 0; width: 100% }
  .tools input { flex: 1; min-width: 0 }
  main { padding: .6rem }
}
"""

SCRIPT: Final = """
(function () {
  var search = document.getElementById('filter'), pause = document.getElementById('pause');
  var every = Number(document.body.dataset.refresh) || 0, paused = false;
  function all(selector, root) { return Array.from((root || document).querySelectorAll(selector)); }

  function filter() {
    var wanted = search.value.trim().toLowerCase();
    all('main section').forEach(function (section) {
      var named = section.dataset.name.toLowerCase().includes(wanted), any = named;
      all('tbody tr', section).forEach(function (row) {
        row.hidden = !named && !row.textContent.toLowerCase().includes(wanted);
        any = any || !row.hidden;
      });
      section.hidden = !any;
    });
    try { sessionStorage.setItem('usher-filter', search.value); } catch (refused) {}
  }

  function ticks(root) {
    return all('input[type=checkbox]', root).map(function (box) { return [box.form.dataset.backend + '/' + box.value, box]; });
  }

  function show(text) {
    var fresh = new DOMParser().parseFromString(text, 'text/html');
    var main = fresh.querySelector('main'), old = document.querySelector('main');
    if (!main) return;
    var chosen = new Map(ticks(old)), places = all('.scroll', old).map(function (part) { return part.scrollLeft; });
    ticks(main).forEach(function (pair) { var before = chosen.get(pair[0]); pair[1].checked = Boolean(before && before.checked); });
    var orders = all('select', old).map(function (select) { return select.value; });
    all('select', main).forEach(function (select, index) { select.value = orders[index] || ''; });
    old.replaceWith(main);
    document.querySelector('.facts').replaceWith(fresh.querySelector('.facts'));
    all('.scroll', main).forEach(function (part, index) { part.scrollLeft = places[index] || 0; });
    document.body.classList.remove('stale');
    filter();
  }

  function renew() {
    var typing = document.activeElement && document.activeElement.tagName === 'SELECT';
    if (paused || typing || document.hidden) return;
    fetch(location.href, { credentials: 'same-origin', cache: 'no-store' })
      .then(function (answer) { if (!answer.ok) throw answer.status; return answer.text(); })
      .then(show)
      .catch(function () { document.body.classList.add('stale'); });
  }

  try { search.value = sessionStorage.getItem('usher-filter') || ''; } catch (refused) {}
  search.addEventListener('input', filter);
  filter();
  if (!every) { pause.hidden = true; return; }
  pause.addEventListener('click', function () {
    paused = !paused;
    pause.textContent = paused ? 'Resume' : 'Pause';
    pause.setAttribute('aria-pressed', String(paused));
  });
  setInterval(renew, every * 1000);
})();
"""


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


CONTENT_SECURITY_POLICY: Final = (
    f"default-src 'none'; style-src {_hash(STYLE)}; script-src {_hash(SCRIPT)}; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
# Beside the fields that every form of the statistics has.
FIELDS: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
)
