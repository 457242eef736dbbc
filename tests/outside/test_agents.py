"""Real agents through every upstream protocol: each writes a file with its own tool, and is told the truth when refused.

`tests/it/outside.rs` compares what the upstream reported with the books when these have run.
"""

import json
from itertools import count

import pytest

from clients import ClaudeCode, Codex, Node, Ran, work
from terminal import Terminal

WORD = "lantern"
numbers = count()


class Python:
    """An official SDK under Python, in a protocol, driving a tool of ours."""

    SCHEMA = {
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
        "additionalProperties": False,
    }

    def __init__(self, protocol):
        self.protocol = protocol
        self.name = f"Python SDK, {protocol}"

    def ask(self, stage, home, key, model, prompt):
        import anthropic
        import openai

        if self.protocol == "messages":
            client = anthropic.Anthropic(api_key=key, base_url=stage["base_url"], max_retries=0)
        else:
            client = openai.OpenAI(api_key=key, base_url=stage["base_url"] + "/v1", max_retries=0)
        try:
            return Ran(0, getattr(self, self.protocol)(client, model, prompt))
        except (anthropic.APIStatusError, openai.APIStatusError) as refusal:
            return Ran(1, f"{type(refusal).__name__} {refusal}")

    def write(self, text):
        order = json.loads(text) if isinstance(text, str) else text
        with open(order["path"], "w") as file:
            file.write(order["content"])
        return "written"

    def chat(self, client, model, prompt):
        messages = [{"role": "user", "content": prompt}]
        tools = [{"type": "function", "function": {"name": "write_file", "parameters": self.SCHEMA}}]
        while True:
            message = client.chat.completions.create(model=model, messages=messages, tools=tools).choices[0].message
            if not message.tool_calls:
                return message.content
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls:
                done = self.write(call.function.arguments)
                messages.append({"role": "tool", "tool_call_id": call.id, "content": done})

    def responses(self, client, model, prompt):
        items = [{"role": "user", "content": prompt}]
        tools = [{"type": "function", "name": "write_file", "parameters": self.SCHEMA, "strict": True}]
        while True:
            with client.responses.stream(model=model, input=items, tools=tools, store=False) as stream:
                response = stream.get_final_response()
            calls = [item for item in response.output if item.type == "function_call"]
            if not calls:
                return response.output_text
            for call in calls:
                items.append({"type": "function_call", "call_id": call.call_id, "name": call.name, "arguments": call.arguments})
                items.append({"type": "function_call_output", "call_id": call.call_id, "output": self.write(call.arguments)})

    def messages(self, client, model, prompt):
        messages = [{"role": "user", "content": prompt}]
        tools = [{"name": "write_file", "input_schema": self.SCHEMA}]
        while True:
            with client.messages.stream(model=model, max_tokens=8000, messages=messages, tools=tools) as stream:
                answer = stream.get_final_message()
            calls = [block for block in answer.content if block.type == "tool_use"]
            if not calls:
                return "".join(block.text for block in answer.content)
            messages.append({"role": "assistant", "content": [block.model_dump(exclude_none=True, include={"type", "id", "name", "input"}) for block in calls]})
            done = [{"type": "tool_result", "tool_use_id": call.id, "content": self.write(call.input)} for call in calls]
            messages.append({"role": "user", "content": done})


CLIENTS = [
    ClaudeCode(),
    Codex(),
    *(kind(protocol) for kind in (Node, Python) for protocol in ("chat", "responses", "messages")),
]


@pytest.fixture
def home(tmp_path):
    return tmp_path / f"home-{next(numbers)}"


@pytest.mark.parametrize("upstream", ["agent-chat", "agent-responses", "agent-messages"])
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_client_does_a_task_with_its_own_tool(client, upstream, stage, home, matrix):
    home.mkdir()
    file = work(home) / "out.txt"

    ran = client.ask(stage, home, stage["keys"]["funded"], upstream, f"Write a file. write-to={file} the-word={WORD}")

    assert file.exists(), ran.text
    assert file.read_text() == WORD
    assert "The word is written." in ran.text
    assert ran.code == 0, ran.text
    matrix.append((client.name, upstream, "works"))


# What a first start asks, and the keys that say yes.
FIRST_START = {
    "Choose the text style": "\r",
    "Press Enter to continue": "\r",
    "Yes, I trust this folder": "\x1b[B\r",
}


def test_claude_code_works_in_a_terminal_from_its_first_start(stage, home, matrix):
    home.mkdir()
    file = work(home) / "out.txt"
    env = ClaudeCode.env(stage, home, stage["keys"]["funded"], "agent-messages")

    with Terminal([ClaudeCode.binary(), "--permission-mode", "acceptEdits"], env, work(home)) as terminal:
        terminal.answers(FIRST_START, until="accept edits on")
        terminal.types(f"Write a file. write-to={file} the-word={WORD}")
        terminal.waits_for("The word is written.")

    assert file.read_text() == WORD
    matrix.append(("Claude Code", "in a terminal", "works"))


# Key, model, and the words of the refusal.
REFUSALS = {
    401: ("wrong", "agent-messages", ["key"]),
    402: ("empty", "agent-messages", ["credits"]),
    403: ("funded", "sandbox/blocked", ["sandbox/blocked", "blocked"]),
    429: ("quota", "sandbox/echo", ["quota"]),
    503: ("funded", "sandbox/idle", ["channel"]),
}

# Codex prints a text of its own for these, and the text is the true cause.
OWN_TEXT = {("Codex", 429): ["hit your usage limit"]}


@pytest.mark.parametrize("status", REFUSALS)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_refused_client_shows_the_true_cause(client, status, stage, home, matrix):
    home.mkdir()
    key, model, words = REFUSALS[status]

    ran = client.ask(stage, home, stage["keys"][key], model, "hello")

    shown = [line.strip() for line in ran.text.splitlines()]
    wanted = OWN_TEXT.get((client.name, status), words)
    found = [line for line in shown if all(word.lower() in line.lower() for word in wanted)]
    assert found, ran.text
    if (client.name, status) not in OWN_TEXT:
        assert f"{stage['base_url']}/docs/errors#" in ran.text, ran.text
    assert ran.code != 0, ran.text
    matrix.append((client.name, status, found[-1][:150]))
