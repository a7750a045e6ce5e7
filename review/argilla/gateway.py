"""Setting Argilla up: workspace, datasets, users, the webhook. The only file importing argilla.

In: templates, reviewers, the address of our webhook. Out: their ids in Argilla.
Every call can be repeated: what exists is found, not made twice.
"""

import logging
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import argilla as rg

from review.argilla import templates
from review.argilla.rest import Dataset

# The SDK logs what it makes, and with a webhook the secret that it signs with.
logging.getLogger("argilla").setLevel(logging.WARNING)
# It also warns of everything that it looks for and does not find, which is what we look for.
warnings.filterwarnings("ignore", message=".* not found", module="argilla")

MIN_SUBMITTED = 1_000
"""Above any quorum: we decide when a record is done, and Argilla then loses it."""
HEARD: list[Any] = ["response.created", "response.updated"]


class Webhook(NamedTuple):
    """A webhook's id and the secret that it signs with."""

    id: str
    secret: str


class Gateway:
    """Argilla's set-up, over its SDK.

    Args:
        url: Where Argilla is.
        api_key: An owner's key.
        workspace: The workspace that holds the datasets.
    """

    def __init__(self, url: str, api_key: str, workspace: str) -> None:
        # No retries of its own: they would hold up the worker's other steps, which tries again.
        self._client = rg.Argilla(api_url=url, api_key=api_key, timeout=60, retries=0)
        self._workspace_name = workspace

    def close(self) -> None:
        """Close the connections."""
        self._client.http_client.close()

    def workspace(self) -> rg.Workspace:
        """The workspace; made when missing."""
        found = self._client.workspaces(self._workspace_name)
        if found is None:
            rg.Workspace(name=self._workspace_name, client=self._client).create()
            found = self._client.workspaces(self._workspace_name)
        assert found is not None
        return found

    def dataset(self, name: str) -> Dataset:
        """The dataset for a template; made and published when missing, brought up to date if older."""
        self.workspace()
        template = templates.template(name)
        found = self._client.datasets(name, workspace=self._workspace_name)
        if found is not None and found.api_model().status != "ready":
            found.delete()  # a set-up that was cut off before it was published
            found = None
        if found is None:
            found = rg.Dataset(
                name=name,
                workspace=self._workspace_name,
                settings=self._settings(template),
                client=self._client,
            ).create()
        else:
            self._renew(found.settings, template)
        questions = {question.name: str(question.id) for question in found.settings.questions}
        return Dataset(str(found.id), questions)

    def _renew(self, settings: rg.Settings, template: templates.Template) -> None:
        """Give a dataset of an older version what it lacks; its questions can be changed no more."""
        known = {one.name for one in settings.metadata}
        lacking = [one for one in templates.METADATA if one.name not in known]
        if not lacking and settings.guidelines == template.guidelines:
            return
        for one in lacking:
            settings.metadata.add(self._metadata(one))
        settings.guidelines = template.guidelines
        settings.update()

    def _settings(self, template: templates.Template) -> rg.Settings:
        fields: list[Any] = [
            rg.TextField(templates.FIELD, title="Proposal", use_markdown=True, client=self._client)
        ]
        if template.screenshot:
            fields += [
                rg.ImageField(templates.SCREENSHOT, title="Screenshot", _client=self._client),
                rg.TextField(
                    templates.BACKGROUND,
                    title="Background",
                    use_markdown=True,
                    client=self._client,
                ),
            ]
        return rg.Settings(
            guidelines=template.guidelines,
            fields=fields,
            questions=[self._question(question) for question in template.questions],
            metadata=[self._metadata(one) for one in templates.METADATA],
            distribution=rg.TaskDistribution(min_submitted=MIN_SUBMITTED),
        )

    def _question(self, question: templates.Question) -> Any:
        words: dict[str, Any] = {
            "title": question.title,
            "description": question.description or None,
            "required": question.required,
            "client": self._client,
        }
        match question.form:
            case "label":
                return rg.LabelQuestion(question.name, question.options, **words)
            case "ranking":
                return rg.RankingQuestion(question.name, question.options, **words)
            case "text":
                # Plain, not markdown: its text then comes back byte for byte.
                return rg.TextQuestion(question.name, use_markdown=False, **words)

    def _metadata(self, one: templates.Metadata) -> Any:
        match one.form:
            case "terms":
                return rg.TermsMetadataProperty(one.name, title=one.title, client=self._client)
            case "integer":
                return rg.IntegerMetadataProperty(one.name, title=one.title, client=self._client)

    def user(self, name: str, password: str) -> bool:
        """Make a labeler; a name that is known is let into the workspace and keeps its password.

        Returns:
            Whether the user is new, so that the password holds.
        """
        workspace = self.workspace()
        found = self._client.users(name)
        new = found is None
        if found is None:
            found = rg.User(
                username=name, password=password, role="annotator", client=self._client
            ).create()
        if name not in self._names(workspace.users) and found.role != "owner":
            workspace.add_user(found)
        return new

    def _names(self, users: Iterable[rg.User]) -> set[str]:
        return {user.username for user in users}

    def webhook(self, url: str) -> Webhook:
        """The webhook that tells us of answers; made when missing."""
        for known in self._client.webhooks:
            if known.url == url:
                return Webhook(str(known.id), known.secret)
        made = rg.Webhook(url=url, events=HEARD, description="Errata", _client=self._client)
        made.create()
        return Webhook(str(made.id), made.secret)
