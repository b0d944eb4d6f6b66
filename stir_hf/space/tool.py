"""The MCP tool's answers as JSON with a schema: gradio tells them as texts of Python."""

import json
from typing import Any

import gradio as gr
from mcp import types

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
        if not found.root.isError:
            found.root.structuredContent = json.loads(found.root.content[0].text)
        return found

    answers |= {types.ListToolsRequest: list_tools, types.CallToolRequest: call_tool}


def _as_json(data: list[Any], _: str) -> list[types.TextContent]:
    """Return the outputs of the tool, of which there is one."""
    return [
        types.TextContent(type="text", text=json.dumps(one, ensure_ascii=False)) for one in data
    ]
