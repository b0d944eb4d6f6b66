"""The rights of a token, checked before any work."""

from collections.abc import Mapping
from typing import Any

from stir_hf.errors import RequestError, RunError, one_line
from stir_hf.hub import request
from stir_hf.publish.repo import Repo

_TOKENS = "https://huggingface.co/settings/tokens"


def check_writable(repo: Repo, option: str, *, create_pr: bool) -> None:
    """Check, before any work, that this token may write to a repo.

    Args:
        repo: the destination.
        option: the option or command that named it, for messages.
        create_pr: True if a pull request is opened.

    Raises:
        RequestError: not a repo id; no token, a rejected one or a read-only one; another user's
            namespace without `create_pr`, or a missing repo with it; or an unreachable Hub.
    """
    import huggingface_hub as hub

    _check_id(repo, option)
    if not hub.get_token():
        raise RequestError(
            f"{option} {repo.id} needs a token: sign in with `hf auth login`, or set HF_TOKEN"
        )
    try:
        me = request(repo.me, repo.called, f"{option} {repo.id}")
        if create_pr and repo.is_private() is None:
            raise RequestError(f"{option} {repo.id}: there is no {repo.called} to propose it to")
    except RunError as error:
        raise RequestError(str(error)) from error
    orgs = {one["name"]: one for one in me.get("orgs", ())}
    names = [me["name"], *orgs]
    if (lack := _lack(me, repo, create_pr=create_pr)) is not None:
        raise RequestError(f"{option} {repo.id}: {lack}; make one that may write at {_TOKENS}")
    if repo.namespace not in names and not create_pr:
        raise RequestError(
            f"{option} {repo.id}: the token is {names[0]}'s and may not write there; use"
            f" {names[0]}/{repo.id.partition('/')[2]}, or propose it with --create-pr"
        )
    if _only_reads(orgs.get(repo.namespace, {})) and not create_pr:
        raise RequestError(
            f"{option} {repo.id}: the token is {names[0]}'s, who may only read in {repo.namespace};"
            " ask an admin of it for the role write, or propose it with --create-pr"
        )


def _check_id(repo: Repo, option: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo.id)
        if repo.id.count("/") != 1:
            raise HFValidationError("it needs a namespace")
    except HFValidationError as error:
        raise RequestError(
            f"{option} {repo.id!r} is no repo id ({one_line(error)}); expected NAMESPACE/NAME"
        ) from error


def _only_reads(org: Mapping[str, Any]) -> bool:
    """Return whether a member of an organisation has no write access to its repos. In paid plans,
    resource groups may give access that the Hub does not report.
    """
    return org.get("roleInOrg") == "read" and not (org.get("isEnterprise") or org.get("plan"))


def _lack(me: Mapping[str, Any], repo: Repo, *, create_pr: bool) -> str | None:
    """The permission that the token lacks, as far as the Hub reports permissions; None if none."""
    token = (me.get("auth") or {}).get("accessToken") or {}
    called = f"the token {token.get('displayName') or ''}".rstrip()
    if token.get("role") == "read":
        return f"{called} only reads"
    scopes = (token.get("fineGrained") or {}).get("scoped")
    if token.get("role") != "fineGrained" or not isinstance(scopes, list) or create_pr:
        return None
    for scope in scopes:
        of = (scope.get("entity") or {}).get("name")
        if of in (repo.id, repo.namespace) and "repo.write" in (scope.get("permissions") or ()):
            return None
    return f"{called} is fine-grained, without the right to write to repos of {repo.namespace}"
