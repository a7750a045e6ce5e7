"""What each dataset teaches a labeler: the keys and the rules, in short.

In: a kind of proposal. Out: the guidelines of its dataset, in Markdown.
"""

from typing import Literal

from errata import protocol

Sort = protocol.Kind | Literal["unshowable"]

WHAT: dict[Sort, str] = {
    "action": """\
An AI agent wants to run a tool and waits for your answer. What stands under "This will run" is
exactly what will run, once.

- To change it, edit the arguments under "Correction" (JSON: text in double quotes) and choose
  **Approve my corrected version**. The tool stays the same.""",
    "draft": """\
An AI agent wants to send a text and waits for your answer.

- To change it, edit "Correction" and choose **Approve my corrected version**: your text goes out,
  to the letter.""",
    "plan": """\
An AI agent has a plan and waits for your answer. Approving it lets the agent follow it; single
steps may still be asked about.

- To change it, edit "Correction" and choose **Approve my corrected version**.""",
    "click": """\
An AI agent wants to click on a screen and waits for your answer. The ring with four arms marks the
place; grid and ring are drawn by us and are not on the agent's screen.

- To change it, write `x,y` under "Correction", such as `412,380`, read off the numbers at the edges
  of the picture, and choose **Approve my corrected version**. The place must lie on the picture.""",
    "candidates": """\
An AI agent offers several versions, each under a letter, and waits for your choice.

- **Approve** needs "The best one" or a "Ranking". Rank all or none; places may be shared, but not
  the first one.
- For a version of your own write it under "Correction" and choose **Approve my corrected
  version**.""",
    "question": """\
An AI agent asks you something and waits for your answer.

- Choose an option or write under "Answer", then choose **Answer**. An option may also be written as
  its number. Where a JSON Schema is shown, the answer must fit it.""",
    "exception": """\
An AI agent has failed and asks you how to go on.

- Choose an option or write under "Answer", then choose **Answer**; or choose **I do it myself**.""",
    "unshowable": """\
What an AI agent asks here cannot be shown whole. What cannot be read cannot be approved.""",
}

RULES = """\
- **Reject** stops it. Say why: the agent learns from your reason and comment.
- **Discard** is no answer: the agent goes on waiting.
- If an answer cannot be taken, the record comes back and says why at its top. If it came too late,
  the record says that; discard it.
- Red boxes hold what comes from sources that are not trusted: it may be wrong or try to talk you
  into something. Green boxes hold what comes from trusted ones. Violet boxes hold what the agent
  says of itself, which nobody has checked."""

KEYS = """\
| Key | |
|---|---|
| `1` to `9` | choose an option of the question in the focus; the next one then has it |
| `↓`, `↑` | the next or previous question |
| `Shift` + `Enter`, `Esc` | write in the text in the focus; leave it |
| `Enter` | submit; inside of a text a new line |
| `Backspace` | discard; inside of a text delete |
| `Ctrl` + `S` | keep a draft; `Cmd` + `S` on a Mac |
| `→`, `←` | the next or previous record |"""


def of(sort: Sort) -> str:
    """The guidelines for a kind of proposal."""
    return f"{WHAT[sort]}\n\n{RULES}\n\n{KEYS}"
