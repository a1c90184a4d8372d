"""Who may look and who may act: loopback is open to its one machine, any other address asks first.

A public address needs a password (PEDIGREE_DASHBOARD_PASSWORD) or Streamlit's own login (`[auth]` in
its secrets). Who logs in may look; PEDIGREE_OPERATORS names, by e-mail and comma, who may also act.
On loopback whoever sits at the machine is the operator, as with the command line.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from dashboard import formats
from experiments.errors import PedigreeError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WRONG_S = 1.0
_PASSED = "password_passed"


def must_ask(address: str | None) -> bool:
    """Whether people from elsewhere reach a server at this address; no address is every address."""
    return (address or "") not in _LOOPBACK


def admit() -> bool:
    """Let the person in, or ask for what is missing. Raises PedigreeError where nothing is set up."""
    if not must_ask(st.get_option("server.address")):
        return True
    if _has_login():
        if st.user.is_logged_in:
            return True
        st.button("Log in", on_click=st.login)
        return False
    wanted = os.environ.get("PEDIGREE_DASHBOARD_PASSWORD", "")
    if not wanted:
        raise PedigreeError(
            "the dashboard is open to the network and has no password",
            fix="serve it on 127.0.0.1, or set PEDIGREE_DASHBOARD_PASSWORD or Streamlit's [auth]",
        )
    return bool(st.session_state.get(_PASSED)) or _asked(wanted)


def _asked(wanted: str) -> bool:
    given = st.text_input("Password", type="password")
    if not given:
        return False
    if hmac.compare_digest(given.encode(), wanted.encode()):
        st.session_state[_PASSED] = True
        st.rerun()
    time.sleep(_WRONG_S)
    st.error("That is not the password.")
    return False


def _has_login() -> bool:
    try:
        return "auth" in st.secrets
    except FileNotFoundError:
        return False


def show_who() -> None:
    """Who is logged in, what they may do, and the way out; nothing where nobody logs in."""
    if not (_has_login() and st.user.is_logged_in):
        return
    with st.container(horizontal=True, vertical_alignment="center", key="logged_in"):
        what = "may look and act" if is_operator() else "may look"
        st.caption(f"{formats.plain(who())} {what}.", width="content")
        st.button("Log out", on_click=st.logout, type="tertiary")


def who() -> str:
    """The e-mail of who is logged in, else `local`."""
    if _has_login() and st.user.is_logged_in:
        return str(st.user.get("email") or "unknown")
    return "local"


def may_act(person: str, operators: str, *, public: bool) -> bool:
    """Whether a person may spend or delete. `operators`: e-mails by comma; on loopback `local` may."""
    if person == "local" and not public:
        return True
    return person in {name.strip() for name in operators.split(",") if name.strip()}


def is_operator() -> bool:
    """`may_act` for whoever looks at the page now."""
    public = must_ask(st.get_option("server.address"))
    return may_act(who(), os.environ.get("PEDIGREE_OPERATORS", ""), public=public)


def require_operator() -> None:
    """Raises PedigreeError unless `is_operator`: a disabled button alone holds nobody off."""
    if not is_operator():
        raise PedigreeError(
            "this needs the operator role",
            fix="log in as one of PEDIGREE_OPERATORS, or work at the machine itself",
        )


def audit(
    home: Path, action: str, subject: str, *, person: str, now: datetime | None = None
) -> None:
    """One line in `.pedigree/audit.jsonl` for each action, written before it is done."""
    at = (now or datetime.now(tz=UTC)).isoformat(timespec="seconds")
    line = json.dumps({"at": at, "who": person, "action": action, "subject": subject})
    path = home / ".pedigree" / "audit.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{line}\n")
