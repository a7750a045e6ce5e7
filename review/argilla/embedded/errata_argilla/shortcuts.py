"""Work left out because its result is always the same. In: Argilla's models. Out: faster ones.

Argilla builds pydantic's validator for question and metadata settings anew each time it reads
them: once for every suggestion and every metadata value of every record that is pushed. It was
most of the time a push took. (Events nobody listens for are left out in `webhooks.interception`.)
"""

from argilla_server.api.schemas.v1.questions import QuestionSettings
from argilla_server.models import MetadataProperty, Question
from argilla_server.models.metadata_properties import MetadataPropertySettings
from pydantic import TypeAdapter

_QUESTION = TypeAdapter(QuestionSettings)
_METADATA = TypeAdapter(MetadataPropertySettings)


def take() -> None:
    """Read settings with validators that are built once.

    The settings themselves are read again each time, so a changed question is never stale.
    """
    Question.parsed_settings = property(lambda self: _QUESTION.validate_python(self.settings))
    MetadataProperty.parsed_settings = property(
        lambda self: _METADATA.validate_python(self.settings)
    )
