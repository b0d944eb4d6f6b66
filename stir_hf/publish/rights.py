"""The right of a token to write to a repo, and of readers to see what it will hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import huggingface_hub as hub
from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from stir_hf.errors import RequestError, RunError, one_line
from stir_hf.hub import about, destination, request, split_revision
from stir_hf.hub.names import Kind
from stir_hf.publish.config import ShareConfig
from stir_hf.publish.repo import Repo

_TOKENS = "https://huggingface.co/settings/tokens"


def writable(name: str, option: str, *, create_pr: bool, kind: Kind = "dataset") -> Repo:
    """Return a repo after checking, before any work, that this token may write to it. `name` is its
    id or address, `option` the option or command that named it.

    Raises:
        RequestError: no repo id, no token or one that the Hub does not accept or that only reads,
            another's namespace without `create_pr`, or no such repo with it; a Hub out of reach.
    """
    repo = Repo(destination(name, option, kind), kind)
    try:
        validate_repo_id(repo.id)
        if repo.id.count("/") != 1:
            raise HFValidationError("it needs a namespace")
    except HFValidationError as error:
        raise RequestError(
            f"{option} {repo.id!r} is no repo id ({one_line(error)}); expected NAMESPACE/NAME"
        ) from error
    if not hub.get_token():
        remedy = ": sign in with `hf auth login`, or set HF_TOKEN"
        raise RequestError(f"{option} {repo.id} needs a token", remedy)
    try:
        me = request(repo.me, repo.called, f"{option} {repo.id}")
        if create_pr and repo.is_private() is None:
            raise RequestError(f"{option} {repo.id}: there is no {repo.called} to propose it to")
    except RunError as error:
        raise RequestError(str(error)) from error
    if (lack := _lack(me, repo, create_pr=create_pr)) is not None:
        raise RequestError(f"{option} {repo.id}: {lack}")
    return repo


def _lack(me: Mapping[str, Any], repo: Repo, *, create_pr: bool) -> str | None:
    """Return the right that is missing, as far as the Hub tells the rights of tokens and members.

    Only `create_pr` needs no right to write to the repo. In an organisation that pays, groups of
    repos may give members rights which the Hub does not tell.
    """
    namespace, _, name = repo.id.partition("/")
    token = (me.get("auth") or {}).get("accessToken") or {}
    called = f"the token {token.get('displayName') or ''}".rstrip()
    if token.get("role") == "read":
        return f"{called} only reads; make one that may write at {_TOKENS}"
    if create_pr:
        return None
    scopes = (token.get("fineGrained") or {}).get("scoped")
    if token.get("role") == "fineGrained" and isinstance(scopes, list):
        granted = [s for s in scopes if "repo.write" in (s.get("permissions") or ())]
        if not {(s.get("entity") or {}).get("name") for s in granted} & {repo.id, namespace}:
            return (
                f"{called} is fine-grained, without the right to write to repos of {namespace};"
                f" make one that may write at {_TOKENS}"
            )
    orgs = {one["name"]: one for one in me.get("orgs", ())}
    if namespace not in (me["name"], *orgs):
        return (
            f"the token is {me['name']}'s and may not write there; use {me['name']}/{name}, or"
            " propose it with --create-pr"
        )
    org = orgs.get(namespace, {})
    if org.get("roleInOrg") == "read" and not (org.get("isEnterprise") or org.get("plan")):
        return (
            f"the token is {me['name']}'s, who may only read in {namespace}; ask an admin of it for"
            " the role write, or propose it with --create-pr"
        )
    return None


@dataclass(frozen=True)
class Source:
    """A dataset or model that published data comes from."""

    role: Literal["dataset", "reference", "model"]
    name: str
    commit: str | None
    """The commit on the Hub; None for what is local."""

    @cached_property
    def _info(self) -> Any:
        """The Hub's answer about the repo; None if there is no such repo in sight."""
        kind: Literal["dataset", "model"] = "dataset" if self.role == "dataset" else "model"
        repo_id = split_revision(self.name)[0]
        return request(lambda: about(repo_id, kind), f"{kind} {repo_id}")

    @property
    def closed(self) -> str | None:
        """The reason why what comes from it should not be public, if there is one.

        Raises:
            RunError: the Hub is away for longer than STIR_HF_HUB_TIMEOUT.
        """
        if self.commit is None:
            why = "local"
        elif self._info is None:
            why = "not on the Hub any more, or not visible to this token"
        else:
            why = "private" if self._info.private else "gated" if self._info.gated else ""
        return f"the {self.role} {self.name} is {why}" if why else None

    @property
    def licence(self) -> str | list[str] | None:
        """The licence that its card states."""
        info = None if self.commit is None else self._info
        found: str | list[str] | None = (getattr(info, "card_data", None) or {}).get("license")
        return found


def sources_of_score(row: Mapping[str, Any]) -> tuple[Source, ...]:
    """The sources of a score: the data, the reference, and a judged model that is on the Hub. (Of a
    local model, a score tells no more than the name of its folder.)
    """
    roles = ("dataset", "reference", *(() if row["model_revision"] is None else ("model",)))
    return tuple(Source(role, row[role], row[f"{role}_revision"]) for role in roles)


def visibility(
    repo: Repo, closed: Sequence[str], share: ShareConfig, contents: str
) -> tuple[bool | None, str | None]:
    """Return whether to make the repo private, and a line for the user. None leaves it to the Hub's
    default, or to the repo that exists. `closed` are the reasons why it should not be public,
    `contents` the things that become public, in words.

    Raises:
        RequestError: it should not be public, the repo is, and nobody allowed it; `--private` for a
            repo that is public.
    """
    there, why = repo.is_private(), "; ".join(closed)
    if there:
        stays = f"{repo.id} is private and stays so; its settings on the Hub change that"
        return None, stays if share.private is False else None
    if there is False and share.private:
        raise RequestError(f"{repo.id} is public already; make it private in its settings first")
    if closed and share.private is False:
        return (None if there is False else False), f"this becomes public: {contents} ({why})"
    if closed and there is False:
        raise RequestError(
            f"{repo.id} is public, and {why}; --public publishes it all the same, a private repo"
            " keeps it"
        )
    if closed and share.private is None:
        return True, f"{repo.id} is made private: {why}"
    return (None if there is False else share.private), None
