"""The endpoint `/scores`, which is also the MCP tool. The tool's answers are JSON with a schema:
gradio gives texts of Python.
"""

import json
from collections.abc import Iterator
from typing import Any

import gradio as gr
from mcp import types

from stir_hf.errors import RequestError, RunError
from stir_hf.report import page as views
from stir_hf.space import jobs
from stir_hf.space.asked import EMBEDDED, LIMITS, OF_A_TOOL, Comparison
from stir_hf.space.following import follow, visiting
from stir_hf.space.work import Message

ABOUT = (
    "STIR of two image models in both directions: does the model ignore what the reference ignores?"
    " The reference's representations of images are inverted into new images that it represents"
    " nearly alike; the score says how similarly the model represents each pair. Read"
    " `debiased.stir`, not `stir`, which is far above 0 for few images even where nothing is"
    " shared. Near `debiased.ceiling` (about 1) the model ignores what the reference ignores; near"
    " `debiased.floor` (about 0) it does not. `sentences` says so in words, within the noise of so"
    " few images, or why a score is not to be believed: then report that instead of the number."
    " `scores[0]` is the model given the reference, `scores[1]` the reverse: they answer different"
    " questions. A request may take some minutes, and waits for those that came before."
)
"""The description of the endpoint and the tool."""


def scores(
    model: str,
    reference: str,
    dataset: str = EMBEDDED,
    split: str = "",
    images: int = 24,
    steps: int = 100,
    request: gr.Request | None = None,
) -> Iterator[dict[str, Any]]:
    """Answer the endpoint and the tool: yields `{"status": …}` while it waits or works, and at last
    the result as `stir-hf compare --json` prints it, with `sentences`.

    Args:
        model: Hub id of an image model, or embedded: standard-0, standard-1, robust-0, robust-1.
        reference: The same, of the network whose invariances are tested.
        dataset: Hub id of a dataset of images; by default the 200 embedded images.
        split: Split of the dataset; by default test, validation or the only one.
        images: Number of images, 16 to 64. More images give a more exact score.
        steps: Passes per image, 1 to 300. More passes raise a ceiling that is below 0.9.
    """
    with visiting(request) as visit:
        limits = OF_A_TOOL if visit.is_of_a_tool else LIMITS
        try:
            asked = Comparison(model, reference, dataset, split, (), images, steps, limits)
            told: dict[str, Any] = {"status": "starting"}
            for message in follow(jobs.compare, asked, limits, visit):
                told = _told(message) or told
                yield told
        except (RequestError, RunError) as error:
            raise gr.Error(str(error), print_exception=False) from error


def _told(message: Message) -> dict[str, Any]:
    """Return a message as plain data for a caller; {} for one that says nothing."""
    if "done" in message:
        result = message["done"]["result"]
        return {"sentences": views.sentences(result["scores"]), **result}
    if "wait" in message:
        return {"status": "waiting", **message["wait"]}
    if "step" in message:
        step = message["step"]
        return {"status": step["what"], "done": step["done"], "total": step["total"]}
    return {}


ANCHORS = {
    "stir": "The score.",
    "floor": "The score of the noise that the inversions began from: nothing is shared.",
    "ceiling": "The score of the reference itself: everything is shared.",
    "similarity": "The similarity of the two networks on the originals.",
}
_NUMBERS = {
    name: {"type": ["number", "null"], "description": about} for name, about in ANCHORS.items()
}
_SCORE = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "reference": {"type": "string"},
        "num_samples": {"type": "integer", "description": "The number of images."},
        **_NUMBERS,
        "debiased": {
            "type": ["object", "null"],
            "description": "The values to believe: without what few images add by chance.",
            "properties": _NUMBERS,
        },
        "converged": {"type": "number", "description": "Share of the inversions that are exact."},
        "notes": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["model", "reference", "num_samples", "stir", "debiased"],
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "sentences": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Each score in words, or why it is not to be believed.",
        },
        "scores": {
            "type": "array",
            "items": _SCORE,
            "description": "The model given the reference, and the reverse.",
        },
    },
    "required": ["sentences", "scores"],
}
"""The schema of an answer, which may have more properties."""


def tell_json(page: gr.Blocks) -> None:
    """Make the tool of a page that is served answer JSON, also as structured content, and publish
    its schema.
    """
    server: Any = page.mcp_server_obj
    server.postprocess_output_data = _as_json
    answers = server.mcp_server.request_handlers
    listed, called = answers[types.ListToolsRequest], answers[types.CallToolRequest]

    async def list_tools(request: types.ListToolsRequest) -> Any:
        found = await listed(request)
        for tool in found.root.tools:
            tool.outputSchema = SCHEMA
        return found

    async def call_tool(request: types.CallToolRequest) -> Any:
        found = await called(request)
        told = found.root.content[0]
        if found.root.isError:
            told.text = _plain(told.text)
        else:
            found.root.structuredContent = json.loads(told.text)
        return found

    answers |= {types.ListToolsRequest: list_tools, types.CallToolRequest: call_tool}


def _plain(problem: str) -> str:
    """Return the text of an error for the caller of the tool: gradio's own are about its requests
    to itself, or a page that this one has not.
    """
    if problem.startswith(("Client error", "Server error", "Queue is full")):
        return "the queue is full, or holds too many requests of yours; try again in a few minutes"
    return problem.partition(" Please click on")[0].partition("\n")[0]


def _as_json(data: list[Any], _: str) -> list[types.TextContent]:
    """Return the outputs of the tool, of which there is one."""
    return [
        types.TextContent(type="text", text=json.dumps(one, ensure_ascii=False)) for one in data
    ]
