"""What the official OpenAI client makes of `tony serve`: prints one JSON object. Arguments: address, model, prompt."""

import json
import sys

try:
    import openai
except ImportError as error:
    print(error.name)
    sys.exit(3)

url, model, prompt = sys.argv[1:4]
client = openai.OpenAI(base_url=url + "/v1", api_key="0123456789abcdef-key", max_retries=0, timeout=120)
messages = [{"role": "user", "content": prompt}]
seen = {"version": openai.__version__, "models": [m.id for m in client.models.list()], "model": client.models.retrieve(model).id}


def chat(**more):
    return client.chat.completions.create(model=model, messages=messages, max_completion_tokens=8, seed=7, **more)


whole = chat(temperature=1.2, logprobs=True, top_logprobs=3)
seen["text"] = whole.choices[0].message.content
seen["finish"] = whole.choices[0].finish_reason
seen["usage"] = whole.usage.model_dump(exclude_none=True)
tokens = whole.choices[0].logprobs.content
seen["tokens"] = [[t.token, t.logprob, t.bytes, [[o.token, o.logprob] for o in t.top_logprobs]] for t in tokens]

stream = chat(temperature=1.2, logprobs=True, top_logprobs=3, stream=True, stream_options={"include_usage": True})
chunks = list(stream)
parts = [choice for chunk in chunks for choice in chunk.choices]
seen["streamed"] = {
    "text": "".join(part.delta.content or "" for part in parts),
    "role": parts[0].delta.role,
    "finish": [part.finish_reason for part in parts if part.finish_reason],
    "tokens": [[t.token, t.logprob] for part in parts if part.logprobs for t in part.logprobs.content],
    "usage": chunks[-1].usage.model_dump(exclude_none=True),
    "ids": len({chunk.id for chunk in chunks}),
}

several = chat(temperature=1.2, n=3)
seen["several"] = [[c.index, c.message.content] for c in several.choices]
streamed = ["", "", ""]
for chunk in chat(temperature=1.2, n=3, stream=True):
    for choice in chunk.choices:
        streamed[choice.index] += choice.delta.content or ""
seen["several_streamed"] = streamed

# Bytes that are no character are shown as one, but no stop text is made of them.
stop = next((c for c in reversed(seen["text"].strip()) if c != "\ufffd"), None)
if stop:
    stopped = chat(temperature=1.2, stop=["never said", stop])
    seen["stop"] = [stop, stopped.choices[0].message.content, stopped.choices[0].finish_reason]

complete = client.completions.create(model=model, prompt=[prompt, prompt], max_tokens=5, temperature=0, logprobs=2)
seen["completions"] = [[c.text, c.finish_reason, c.logprobs.tokens, c.logprobs.token_logprobs, c.logprobs.text_offset] for c in complete.choices]
text = "".join(c.choices[0].text for c in client.completions.create(model=model, prompt=prompt, max_tokens=5, temperature=0, stream=True))
seen["completion_streamed"] = text


def fails(call):
    try:
        call()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.status_code, error.code, error.param, error.type, error.message]
    return None


wrong = openai.OpenAI(base_url=url + "/v1", api_key="0123456789abcdef-kez", max_retries=0)
seen["errors"] = {
    "model": fails(lambda: client.chat.completions.create(model="gpt-4o", messages=messages)),
    "tools": fails(lambda: chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {}}}])),
    "temperature": fails(lambda: chat(temperature=-1)),
    "unknown": fails(lambda: chat(extra_body={"temprature": 1})),
    "context": fails(lambda: client.chat.completions.create(model=model, messages=messages, max_tokens=1_000_000)),
    "key": fails(lambda: wrong.models.list()),
}
print(json.dumps(seen))
