"""Reward servers as trainers ask them. Arguments: address, JSON list of prompts, completions and labels. Prints one JSON object.

OpenRLHF's request is that of its `SingleTurnAgentExecutor` (one item, aiohttp's JSON) and of its older `request_api_wrapper` (many);
TRL's and verl's calls are those of `GRPOTrainer._calculate_rewards` and `NaiveRewardManager.__call__`.
"""

import json
import os
import sys
import urllib.request

url, items = sys.argv[1], json.loads(sys.argv[2])
os.environ["TONY_REWARD_URL"] = url
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../python"))
import tony_reward  # noqa: E402

START = "<|im_start|>"
END = "<|im_end|>"


def templated(messages):
    turns = [f"{START}{m['role']}\n{m['content']}{END}\n" for m in messages]
    return "".join(turns) + f"{START}assistant\n"


def post(body):
    request = urllib.request.Request(url + "/get_reward", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        return json.load(reply)


prompts = [templated(item["prompt"]) for item in items]
queries = [prompt + item["completion"] + END for prompt, item in zip(prompts, items)]
labels = [item["label"] for item in items]
seen = {"many": post({"query": queries, "prompts": prompts, "labels": labels})}
seen["single"] = [post({"query": [q], "prompts": [p], "labels": [l]}) for q, p, l in zip(queries, prompts, labels)]

metrics = {}
seen["trl"] = tony_reward.trl_reward(
    prompts=[item["prompt"] for item in items],
    completions=[[{"role": "assistant", "content": item["completion"]}] for item in items],
    completion_ids=[[1, 2, 3] for _ in items],
    response_type=labels,
    trainer_state=object(),
    log_extra=lambda column, values: None,
    log_metric=lambda name, value: metrics.update({name: value}),
)
seen["trl_metrics"] = metrics
seen["trl_texts"] = tony_reward.trl_reward(
    prompts=prompts, completions=[item["completion"] for item in items], completion_ids=[[1]] * len(items), response_type=labels
)
seen["verl"] = [
    tony_reward.compute_score(
        data_source="rbr",
        solution_str=item["completion"],
        ground_truth=item["label"],
        extra_info={"prompt": item["prompt"], "num_turns": None, "rollout_reward_scores": {}},
    )
    for item in items
]
print(json.dumps(seen))
