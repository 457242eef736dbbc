"""The official `openai` SDK against a running Tollgate."""

from conftest import Call

QUESTION = "the gate counts every word"
WORDS = len(QUESTION.split())


def test_models_lists_what_the_key_may_use_now(openai_client, stage):
    names = {model.id for model in openai_client().models.list()}

    assert stage["models"]["chat"] in names
    assert stage["models"]["embedding"] in names
    assert stage["models"]["blocked"] not in names


def test_chat(openai_client, stage, calls):
    answer = openai_client().chat.completions.create(
        model=stage["models"]["chat"],
        messages=[{"role": "user", "content": QUESTION}],
        max_completion_tokens=100,
    )

    assert answer.choices[0].message.content.split() == QUESTION.split()
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (WORDS, WORDS)
    calls.append(Call(answer.model, answer.usage.prompt_tokens, answer.usage.completion_tokens))


def test_chat_streamed(openai_client, stage, calls):
    chunks = list(
        openai_client().chat.completions.create(
            model=stage["models"]["chat"],
            messages=[{"role": "user", "content": QUESTION}],
            max_completion_tokens=100,
            stream=True,
            stream_options={"include_usage": True},
        )
    )

    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert said.split() == QUESTION.split()
    assert sum(bool(chunk.choices and chunk.choices[0].delta.content) for chunk in chunks) > 1
    usage = chunks[-1].usage
    assert (usage.prompt_tokens, usage.completion_tokens) == (WORDS, WORDS)
    calls.append(Call(chunks[-1].model, usage.prompt_tokens, usage.completion_tokens))


def test_chat_streamed_without_asking_for_usage_shows_none_and_is_charged(openai_client, stage, calls):
    chunks = list(
        openai_client().chat.completions.create(
            model=stage["models"]["chat"],
            messages=[{"role": "user", "content": QUESTION}],
            max_completion_tokens=100,
            stream=True,
        )
    )

    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    calls.append(Call(chunks[-1].model, WORDS, WORDS))


def test_responses(openai_client, stage, calls):
    answer = openai_client().responses.create(
        model=stage["models"]["chat"], input=QUESTION, max_output_tokens=100
    )

    assert answer.status == "completed"
    assert answer.output_text.split() == QUESTION.split()
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (WORDS, WORDS)
    calls.append(Call(answer.model, answer.usage.input_tokens, answer.usage.output_tokens))


def test_responses_streamed(openai_client, stage, calls):
    with openai_client().responses.stream(
        model=stage["models"]["chat"], input=QUESTION, max_output_tokens=100
    ) as stream:
        said = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        answer = stream.get_final_response()

    assert said.split() == QUESTION.split() == answer.output_text.split()
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (WORDS, WORDS)
    calls.append(Call(answer.model, answer.usage.input_tokens, answer.usage.output_tokens))


def test_embeddings(openai_client, stage, calls):
    # The SDK asks for base64 by itself; the floats must survive the round trip.
    answer = openai_client().embeddings.create(
        model=stage["models"]["embedding"], input=["one two", "three"], dimensions=8
    )

    assert [len(row.embedding) for row in answer.data] == [8, 8]
    assert all(isinstance(number, float) for row in answer.data for number in row.embedding)
    assert answer.usage.prompt_tokens == 3
    calls.append(Call(answer.model, answer.usage.prompt_tokens, 0))
