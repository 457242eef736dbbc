"""The official `anthropic` SDK against a running Tollgate."""

from conftest import Call

QUESTION = "the gate counts every word"
WORDS = len(QUESTION.split())


def test_models_lists_what_the_key_may_use_now(anthropic_client, stage):
    names = {model.id for model in anthropic_client().models.list()}

    assert stage["models"]["chat"] in names
    assert stage["models"]["blocked"] not in names


def test_messages(anthropic_client, stage, calls):
    answer = anthropic_client().messages.create(
        model=stage["models"]["chat"],
        max_tokens=100,
        messages=[{"role": "user", "content": QUESTION}],
    )

    assert answer.content[0].text.split() == QUESTION.split()
    assert answer.stop_reason == "end_turn"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (WORDS, WORDS)
    calls.append(Call(answer.model, answer.usage.input_tokens, answer.usage.output_tokens))


def test_messages_streamed(anthropic_client, stage, calls):
    with anthropic_client().messages.stream(
        model=stage["models"]["chat"],
        max_tokens=100,
        messages=[{"role": "user", "content": QUESTION}],
    ) as stream:
        pieces = list(stream.text_stream)
        answer = stream.get_final_message()

    assert len(pieces) > 1
    assert "".join(pieces).split() == QUESTION.split()
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (WORDS, WORDS)
    calls.append(Call(answer.model, answer.usage.input_tokens, answer.usage.output_tokens))


def test_a_token_limit_ends_the_answer(anthropic_client, stage, calls):
    answer = anthropic_client().messages.create(
        model=stage["models"]["story"],
        max_tokens=7,
        messages=[{"role": "user", "content": QUESTION}],
    )

    assert answer.stop_reason == "max_tokens"
    assert answer.usage.output_tokens == 7
    calls.append(Call(answer.model, answer.usage.input_tokens, answer.usage.output_tokens))
