"""Each refusal reaches the user as the SDK's own exception, with our words and our code.

Every row is tried as a plain call and as a streamed one: a refusal before the first byte has a status of its own.
"""

from contextlib import contextmanager

import anthropic
import openai
import pytest


def ask_chat(client, model, streamed):
    answer = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": "hello"}],
        max_completion_tokens=100,
        stream=streamed,
    )
    return list(answer) if streamed else answer


def ask_responses(client, model, streamed):
    answer = client.responses.create(model=model, input="hello", max_output_tokens=100, stream=streamed)
    return list(answer) if streamed else answer


def ask_messages(client, model, streamed):
    answer = client.messages.create(
        model=model,
        max_tokens=100,
        messages=[{"role": "user", "content": "hello"}],
        stream=streamed,
    )
    return list(answer) if streamed else answer


ASKERS = {"chat": ask_chat, "responses": ask_responses, "messages": ask_messages}

# Key, model, code, words of the message; the exception of the OpenAI SDK, and of the Anthropic SDK.
ROWS = {
    "wrong key": ("wrong", "chat", "invalid_key", "key", openai.AuthenticationError, anthropic.AuthenticationError),
    "foreign key": ("foreign", "chat", "foreign_key", "OpenAI", openai.AuthenticationError, anthropic.AuthenticationError),
    "revoked key": ("revoked", "chat", "invalid_key", "revoked", openai.AuthenticationError, anthropic.AuthenticationError),
    "empty wallet": ("empty", "chat", "insufficient_credits", "credits", openai.APIStatusError, anthropic.PaymentRequiredError),
    "blocked model": ("funded", "blocked", "model_blocked", "blocked", openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    "unknown model": ("funded", "unknown", "model_not_found", "sandbox/ecko", openai.NotFoundError, anthropic.NotFoundError),
    "spent quota": ("quota", "chat", "quota_exhausted", "quota", openai.RateLimitError, anthropic.RateLimitError),
    "no channel": ("funded", "idle", "no_channel", "channel", openai.InternalServerError, anthropic.ServiceUnavailableError),
}
STATUS = {
    "invalid_key": 401,
    "foreign_key": 401,
    "insufficient_credits": 402,
    "model_blocked": 403,
    "model_not_found": 404,
    "quota_exhausted": 429,
    "concurrency_limit": 429,
    "no_channel": 503,
}


@contextmanager
def refused(expected, code, words):
    with pytest.raises(expected) as caught:
        yield
    refusal = caught.value
    assert refusal.status_code == STATUS[code]
    assert refusal.response.headers["x-tollgate-code"] == code
    message = refusal.response.json()["error"]["message"]
    assert words.lower() in message.lower(), message
    assert f"/docs/errors#{code}" in message, message
    assert message in str(refusal)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("protocol", ASKERS)
@pytest.mark.parametrize("row", ROWS)
def test_a_refusal_is_typed_and_says_why(row, protocol, streamed, stage, openai_client, anthropic_client):
    key, model, code, words, of_openai, of_anthropic = ROWS[row]
    if protocol == "messages":
        client, expected = anthropic_client(key), of_anthropic
    else:
        client, expected = openai_client(key), of_openai

    with refused(expected, code, words):
        ASKERS[protocol](client, stage["models"].get(model, model), streamed)


def test_the_code_stands_in_the_body_for_openai(openai_client, stage):
    with pytest.raises(openai.PermissionDeniedError) as caught:
        ask_chat(openai_client(), stage["models"]["blocked"], False)

    assert caught.value.code == "model_blocked"
    assert caught.value.type == "permission_error"


def test_a_second_call_beside_the_only_allowed_one_is_refused(openai_client, anthropic_client, stage):
    # The model never ends its answer, so the first call is surely open while the second is made.
    first = openai_client("single").chat.completions.create(
        model=stage["models"]["endless"],
        messages=[{"role": "user", "content": "one two three four"}],
        max_completion_tokens=100,
        stream=True,
    )
    with first:
        next(iter(first))

        with refused(openai.RateLimitError, "concurrency_limit", "1"):
            ask_chat(openai_client("single"), stage["models"]["chat"], True)
        with refused(anthropic.RateLimitError, "concurrency_limit", "1"):
            ask_messages(anthropic_client("single"), stage["models"]["chat"], True)


def test_what_cannot_mend_itself_is_asked_only_once(stage):
    client = openai.OpenAI(api_key=stage["keys"]["empty"], base_url=stage["base_url"] + "/v1", max_retries=5, timeout=10)

    with pytest.raises(openai.APIStatusError) as caught:
        ask_chat(client, stage["models"]["chat"], False)

    assert caught.value.response.headers["x-should-retry"] == "false"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "0"
