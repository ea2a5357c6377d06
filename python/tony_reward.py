"""Rule-based rewards of a running `tony rbr serve` for TRL and verl. Needs nothing but Python 3.9.

TRL: a data set with the columns `prompt` and `response_type` (the kind of answer that a prompt should get, as "hard_refuse";
None where no rule applies), and

    from tony_reward import trl_reward
    GRPOTrainer(reward_funcs=[trl_reward], ...)

verl: `custom_reward_function.path=tony_reward.py custom_reward_function.name=compute_score`, with the response type as `ground_truth`
and, where the grader is to see the conversation, its messages as `extra_info["prompt"]`.

The server is that of the environment variable TONY_REWARD_URL (http://127.0.0.1:5000 by default); TONY_REWARD_KEY has its API key.
"""

import json
import os
import time
import urllib.error
import urllib.request

TRIES = 6
TIMEOUT = 600


def ask(prompts, completions, labels):
    """The server's reply: "rewards" (None where the grader answered nothing), "scores", "extra_logs", "detail".

    Prompts and completions are texts or lists of messages; a server that is busy or silent is asked again for about half a minute.
    """
    url = os.environ.get("TONY_REWARD_URL", "http://127.0.0.1:5000").rstrip("/") + "/get_reward"
    body = {"prompts": prompts, "completions": completions, "labels": labels, "missing": "null"}
    headers = {"Content-Type": "application/json"}
    if os.environ.get("TONY_REWARD_KEY"):
        headers["Authorization"] = "Bearer " + os.environ["TONY_REWARD_KEY"]
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    for attempt in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            said = error.read(10_000).decode(errors="replace")
            if error.code not in (408, 429, 500, 502, 503, 504) or attempt == TRIES:
                raise RuntimeError(f"{url} answers with status {error.code}: {said}") from error
        except (OSError, ValueError) as error:
            if attempt == TRIES:
                raise RuntimeError(f"{url} cannot be asked: {error}") from error
        time.sleep(2 ** (attempt - 1))


def trl_reward(prompts, completions, response_type=None, log_metric=None, **_):
    """A function for TRL's `reward_funcs`: a number for each completion, None where the grader answered nothing."""
    labels = response_type if response_type is not None else [None] * len(completions)
    reply = ask(prompts, completions, labels)
    if log_metric is not None and completions:
        for name in ("rbr_ideal", "rbr_missing", "rbr_outside"):
            values = reply["extra_logs"][name]
            log_metric(name, sum(values) / len(values))
    return reply["rewards"]


def compute_score(data_source, solution_str, ground_truth, extra_info=None, **_):
    """A function for verl's `custom_reward_function`: the reward as "score", and what it is made of.

    A completion of which the grader says nothing is an error here: verl has no reward that is missing.
    """
    prompt = (extra_info or {}).get("prompt")
    if prompt is None:
        prompt = ""
    elif not isinstance(prompt, str):
        prompt = [{"role": message["role"], "content": message["content"]} for message in prompt]
    reply = ask([prompt], [solution_str], [ground_truth])
    if reply["rewards"][0] is None:
        raise RuntimeError(f"the grader says nothing of this completion ({data_source}): {reply['detail'][0]['missing'][:1]}")
    logs = {name: values[0] for name, values in reply["extra_logs"].items()}
    return {"score": reply["rewards"][0], **logs}
