"""A provider with a script: it lets an agent write one file with the agent's own tool, and then says so.

Speaks chat, responses and messages. Prints the port it listens on, and appends to the file it is given one line for
each answer: the model and the tokens of each class that it reported, which is what Tollgate must charge.
"""

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# What the question to an agent holds: where to write, and what.
TASK = re.compile(r"write-to=([\w./-]+) the-word=(\w+)")
SAID = "The word is written."
IDLE = "There is nothing to do."

log = Path(sys.argv[1])
turn = threading.Lock()
answers = 0


def count():
    """The usage of the next answer: never the same twice."""
    global answers
    with turn:
        answers += 1
        n = answers
    return {"fresh": 900 + 7 * n, "cached": 300 + n, "written": 20 + n, "output": 40 + 3 * n, "thought": 5}


def call_for(tools, path, word):
    """The call of whichever tool the agent has that can write a file."""
    for tool in tools:
        name = tool["name"]
        if name == "Write":
            return name, {"file_path": path, "content": word}
        if name == "write_file":
            return name, {"path": path, "content": word}
        if name == "exec_command":
            return name, {"cmd": f"printf %s {word} > {path}"}
    return None


def decide(body, tools, done):
    """What to answer: a tool's name and arguments, or a text."""
    task = TASK.search(json.dumps(body))
    if done:
        return SAID
    return (task and call_for(tools, *task.groups())) or IDLE


class Chat:
    path = "/chat/completions"

    @staticmethod
    def decide(body):
        done = any(message["role"] == "tool" for message in body["messages"])
        tools = [tool["function"] for tool in body.get("tools", []) if tool["type"] == "function"]
        return decide(body, tools, done)

    @staticmethod
    def usage(used):
        # Chat has no word for what was written to a cache.
        used["fresh"], used["written"] = used["fresh"] + used["written"], 0
        prompt = used["fresh"] + used["cached"]
        return {
            "prompt_tokens": prompt,
            "completion_tokens": used["output"],
            "total_tokens": prompt + used["output"],
            "prompt_tokens_details": {"cached_tokens": used["cached"]},
            "completion_tokens_details": {"reasoning_tokens": used["thought"]},
        }

    @staticmethod
    def message(answer, index):
        if isinstance(answer, str):
            return {"role": "assistant", "content": answer}, "stop"
        name, arguments = answer
        call = {
            "index": 0,
            "id": f"call_{index}",
            "type": "function",
            "function": {"name": name, "arguments": json.dumps(arguments)},
        }
        return {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"

    @classmethod
    def whole(cls, body, answer, used, index):
        message, reason = cls.message(answer, index)
        for call in message.get("tool_calls", []):
            del call["index"]
        return {
            "id": f"chatcmpl-{index}",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
            "usage": cls.usage(used),
        }

    @classmethod
    def events(cls, body, answer, used, index):
        def chunk(**fields):
            return None, {
                "id": f"chatcmpl-{index}",
                "object": "chat.completion.chunk",
                "created": 1,
                "model": body["model"],
                **fields,
            }

        def choice(delta, reason=None):
            return chunk(choices=[{"index": 0, "delta": delta, "finish_reason": reason}])

        message, reason = cls.message(answer, index)
        yield choice({"role": "assistant", "content": ""})
        for delta in pieces_of(message):
            yield choice(delta)
        yield choice({}, reason)
        usage = cls.usage(used)
        if body.get("stream_options", {}).get("include_usage"):
            yield chunk(choices=[], usage=usage)
        yield None, "[DONE]"


def halves(text):
    middle = len(text) // 2
    return [text[:middle], text[middle:]]


def pieces_of(message):
    """The deltas of a chat message, its long parts in two pieces."""
    for text in halves(message["content"] or ""):
        if text:
            yield {"content": text}
    for call in message.get("tool_calls", []):
        arguments = call["function"]["arguments"]
        yield {"tool_calls": [{**call, "function": {**call["function"], "arguments": ""}}]}
        for piece in halves(arguments):
            yield {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}


class Responses:
    path = "/responses"

    @staticmethod
    def decide(body):
        items = body["input"] if isinstance(body["input"], list) else []
        done = any(item.get("type") == "function_call_output" for item in items)
        tools = [tool for tool in body.get("tools", []) if tool["type"] == "function"]
        return decide(body, tools, done)

    @staticmethod
    def usage(used):
        taken = used["fresh"] + used["cached"] + used["written"]
        return {
            "input_tokens": taken,
            "input_tokens_details": {"cached_tokens": used["cached"], "cache_write_tokens": used["written"]},
            "output_tokens": used["output"],
            "output_tokens_details": {"reasoning_tokens": used["thought"]},
            "total_tokens": taken + used["output"],
        }

    @staticmethod
    def item(answer, index):
        if isinstance(answer, str):
            part = {"type": "output_text", "text": answer, "annotations": [], "logprobs": []}
            return {"id": f"msg_{index}", "type": "message", "role": "assistant", "status": "completed", "content": [part]}
        name, arguments = answer
        return {
            "id": f"fc_{index}",
            "type": "function_call",
            "call_id": f"call_{index}",
            "name": name,
            "arguments": json.dumps(arguments),
            "status": "completed",
        }

    @classmethod
    def response(cls, body, status, output, usage, index):
        return {
            "id": f"resp_{index}",
            "object": "response",
            "created_at": 1,
            "status": status,
            "model": body["model"],
            "output": output,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": usage,
        }

    @classmethod
    def whole(cls, body, answer, used, index):
        return cls.response(body, "completed", [cls.item(answer, index)], cls.usage(used), index)

    @classmethod
    def events(cls, body, answer, used, index):
        numbers = iter(range(100))

        def event(kind, **fields):
            return kind, {"type": kind, "sequence_number": next(numbers), **fields}

        item = cls.item(answer, index)
        place = {"item_id": item["id"], "output_index": 0}
        yield event("response.created", response=cls.response(body, "in_progress", [], None, index))
        yield event("response.in_progress", response=cls.response(body, "in_progress", [], None, index))
        if isinstance(answer, str):
            part = item["content"][0]
            place["content_index"] = 0
            yield event("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "content": []})
            yield event("response.content_part.added", **place, part={**part, "text": ""})
            for piece in halves(answer):
                yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
            yield event("response.output_text.done", **place, text=answer, logprobs=[])
            yield event("response.content_part.done", **place, part=part)
        else:
            yield event("response.output_item.added", output_index=0, item={**item, "status": "in_progress", "arguments": ""})
            for piece in halves(item["arguments"]):
                yield event("response.function_call_arguments.delta", **place, delta=piece)
            yield event("response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])
        yield event("response.output_item.done", output_index=0, item=item)
        yield event("response.completed", response=cls.response(body, "completed", [item], cls.usage(used), index))


class Messages:
    path = "/messages"

    @staticmethod
    def decide(body):
        parts = [part for message in body["messages"] if isinstance(message["content"], list) for part in message["content"]]
        done = any(part["type"] == "tool_result" for part in parts)
        return decide(body, body.get("tools", []), done)

    @staticmethod
    def usage(used):
        return {
            "input_tokens": used["fresh"],
            "cache_read_input_tokens": used["cached"],
            "cache_creation_input_tokens": used["written"],
            "output_tokens": used["output"],
        }

    @staticmethod
    def block(answer, index):
        if isinstance(answer, str):
            return {"type": "text", "text": answer}, "end_turn"
        name, arguments = answer
        return {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": arguments}, "tool_use"

    @classmethod
    def message(cls, body, index, **fields):
        return {
            "id": f"msg_{index}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            **fields,
        }

    @classmethod
    def whole(cls, body, answer, used, index):
        block, reason = cls.block(answer, index)
        return cls.message(body, index, content=[block], stop_reason=reason, usage=cls.usage(used))

    @classmethod
    def events(cls, body, answer, used, index):
        def event(kind, **fields):
            return kind, {"type": kind, **fields}

        block, reason = cls.block(answer, index)
        usage = cls.usage(used)
        yield event("message_start", message=cls.message(body, index, usage={**usage, "output_tokens": 1}))
        yield event("ping")
        if isinstance(answer, str):
            yield event("content_block_start", index=0, content_block={**block, "text": ""})
            for piece in halves(answer):
                yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})
        else:
            yield event("content_block_start", index=0, content_block={**block, "input": {}})
            for piece in halves(json.dumps(block["input"])):
                yield event("content_block_delta", index=0, delta={"type": "input_json_delta", "partial_json": piece})
        yield event("content_block_stop", index=0)
        yield event("message_delta", delta={"stop_reason": reason, "stop_sequence": None}, usage=usage)
        yield event("message_stop")


PROTOCOLS = [Chat, Responses, Messages]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global answers
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        protocol = next((one for one in PROTOCOLS if self.path.split("?")[0].endswith(one.path)), None)
        if protocol is None:
            self.send_error(404)
            return
        used = count()
        index = used["output"]
        answer = protocol.decide(body)
        if body.get("stream"):
            payload = "".join(self.framed(*event) for event in protocol.events(body, answer, used, index)).encode()
        else:
            payload = json.dumps(protocol.whole(body, answer, used, index)).encode()
        with turn, log.open("a") as lines:
            lines.write(json.dumps({"model": body["model"], "protocol": protocol.__name__.lower(), **used}) + "\n")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if body.get("stream") else "application/json")
        self.send_header("content-length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    @staticmethod
    def framed(kind, data):
        text = data if isinstance(data, str) else json.dumps(data)
        return (f"event: {kind}\n" if kind else "") + f"data: {text}\n\n"

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
# Ends with whoever started it.
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
