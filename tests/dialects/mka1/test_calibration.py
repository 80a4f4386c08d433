"""Labels, calibrations and corrected rates over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.support.calibrations import EVALS, calibrate, got, judged_run, posted, samples_of
from tests.support.mka1 import Client, check_envelope, upload
from tests.support.tenants import Tenants

VERDICTS = [True] * 6 + [False] * 4


async def test_a_corrected_rate(prober: Client) -> None:
    run_id = await judged_run(prober, VERDICTS, criteria="Corrected?")
    # Of the four labelled ones the judge wrongly passed one.
    samples = await samples_of(prober, run_id)
    labels = [(0, True), (1, True), (2, False), (8, False), (9, False)]
    await label(prober, samples, labels)
    version = samples[0]["judge"]["judge_version"]
    made = await posted(prober, "/calibrations", {"judge_version": version})
    assert made["items"] == 5
    report = made["report"]
    assert report["confusion"] == {"true_pass": 2, "false_pass": 1, "false_fail": 0, "true_fail": 2}
    assert report["specificity"]["value"] == pytest.approx(2 / 3)
    # p_o = 4/5, p_e = 3/5 · 2/5 + 2/5 · 3/5 = 12/25.
    assert report["cohen_kappa"]["value"] == pytest.approx((4 / 5 - 12 / 25) / (13 / 25))
    assert report["krippendorff_alpha"]["people"] is None, "nobody labelled what another did"
    assert await got(prober, f"/calibrations/{made['id']}") == made

    rate = await got(prober, f"/runs/{run_id}/calibrated-rate")
    assert (rate["n"], rate["judged_rate"], rate["calibration_id"]) == (10, 0.6, made["id"])
    # (0.6 + 2/3 - 1) / (1 + 2/3 - 1) = 0.4.
    assert rate["rogan_gladen"]["value"] == pytest.approx(0.4)
    assert rate["prediction_powered"]["labelled"] == 5
    assert rate["prediction_powered"]["low"] < rate["prediction_powered"]["high"]


async def label(client: Client, samples: list[dict[str, object]], labels: Sequence[tuple[int, bool]]) -> None:
    body = [
        {"subject": {"kind": "sample", "id": samples[place]["id"]}, "metric": "score", "value": value}
        for place, value in labels
    ]
    await posted(client, "/labels", {"labels": body})


async def test_a_calibration_expires_with_its_judge(prober: Client) -> None:
    run_id = await judged_run(prober, criteria="Expired?")
    made = await calibrate(prober, run_id)
    changed = await judged_run(prober, criteria="Expired? Now in other words.")
    for path in (f"/runs/{changed}/calibrated-rate", f"/runs/{changed}/calibrated-rate?calibration_id={made['id']}"):
        answer = await prober.raw("GET", EVALS + path)
        assert answer.status == 409
        assert "judge" in check_envelope(answer)["message"]
    await got(prober, f"/runs/{run_id}/calibrated-rate")
    assert (await prober.raw("DELETE", f"{EVALS}/calibrations/{made['id']}")).status == 200
    assert (await prober.raw("GET", f"{EVALS}/calibrations/{made['id']}")).status == 404
    assert (await prober.raw("GET", f"{EVALS}/runs/{run_id}/calibrated-rate")).status == 409


async def test_labels_by_several_people(prober: Client) -> None:
    run_id = await judged_run(prober, [True, True, False], criteria="Several?")
    samples = await samples_of(prober, run_id)
    subjects = [{"kind": "sample", "id": sample["id"]} for sample in samples]
    votes = [("anna", [1, 1, 0]), ("ben", [1, 0, 0])]
    body = [
        {"subject": subject, "metric": "score", "value": value, "labeler": who}
        for who, values in votes
        for subject, value in zip(subjects, values, strict=True)
    ]
    assert (await posted(prober, "/labels", {"labels": body}))["created"] == 6
    assert (await posted(prober, "/labels", {"labels": body}))["replaced"] == 6
    made = await posted(prober, "/calibrations", {"judge_version": samples[0]["judge"]["judge_version"]})
    # On the second one they are split.
    assert (made["items"], made["report"]["split"]) == (2, 1)
    # Labels 1 1 | 1 0 | 0 0: D_o = 2/6 · …, by hand 1 - 5 · 2 / (36 - 9 - 9) = 4/9.
    assert made["report"]["krippendorff_alpha"]["people"] == pytest.approx(4 / 9)
    [theirs] = await got(prober, f"/labels?subject_id={samples[1]['id']}&labeler=ben", field="data")
    assert (theirs["value"], theirs["subject"]) == (0.0, subjects[1])
    assert (await prober.raw("DELETE", f"{EVALS}/labels/{theirs['id']}")).status == 200
    assert (await prober.raw("DELETE", f"{EVALS}/labels/{theirs['id']}")).status == 404
    again = await posted(prober, "/calibrations", {"judge_version": samples[0]["judge"]["judge_version"]})
    assert (again["items"], again["report"]["split"]) == (3, 0)
    listed = await got(prober, f"/calibrations?judge_version={again['judge_version']}", field="data")
    assert [one["id"] for one in listed] == [again["id"], made["id"]]


async def test_labels_of_a_file(prober: Client, tenants: Tenants) -> None:
    run_id = await judged_run(prober, criteria="Imported?")
    first, second = await samples_of(prober, run_id)
    event = "00000000-0000-4000-8000-000000000002"
    sent = {"api_key": tenants.capture_token, "event": "$ai_generation", "distinct_id": "a", "uuid": event}
    assert (await prober.raw("POST", "/i/v0/e/", json={**sent, "properties": {}})).status == 200
    content = (
        "sample_id,event_id,metric,value,labeler,note\n"
        f'{first["id"]},,score,pass,anna,\n{second["id"]},,score,0,anna,"no, wrong"\n,{event},score,fail,,\n'
    )
    file = await upload(prober, content.encode(), name="labels.csv")
    counted = await posted(prober, "/labels/import", {"file_id": file.id})
    assert (counted["count"], counted["created"]) == (3, 3)
    [noted] = await got(prober, f"/labels?subject_id={second['id']}", field="data")
    assert (noted["value"], noted["note"]) == (0.0, "no, wrong")
    [of_event] = await got(prober, f"/labels?kind=event&subject_id={event}", field="data")
    assert (of_event["value"], of_event["labeler"]) == (0.0, "human")
    made = await posted(prober, "/calibrations", {"judge_version": first["judge"]["judge_version"]})
    assert made["items"] == 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("sample_id,metric,value\nx,score,1\n", "Row 1: 'x' is no id"),
        ("metric,value\nscore,1\n", "Row 1: give one of sample_id and event_id"),
        ("event_id,metric,value\n00000000-0000-4000-8000-000000000001,score,maybe\n", "Row 1: value must be a number"),
        ("event_id,metric,value\n00000000-0000-4000-8000-000000000001,score,nan\n", "must be a finite number"),
        ("event_id,value\n00000000-0000-4000-8000-000000000001,1\n", "Row 1: metric is missing"),
        ("event_id,metric,value,x\n00000000-0000-4000-8000-000000000001,score,1,y\n", "unknown column 'x'"),
        (f"sample_id,metric,value\neval_sample_{'0' * 32},score,1\n", "no such sample"),
        ("event_id,metric,value\n00000000-0000-4000-8000-000000000001,score,1\n", "no such event"),
    ],
)
async def test_files_that_are_no_labels(prober: Client, content: str, reason: str) -> None:
    file = await upload(prober, content.encode(), name="labels.csv")
    answer = await prober.raw("POST", f"{EVALS}/labels/import", json={"file_id": file.id})
    assert 400 <= answer.status < 500
    assert reason in check_envelope(answer)["message"]


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        ("/labels", {"labels": [{"subject": {"kind": "sample", "id": "x"}, "metric": "m", "value": 1}]}, "no"),
        ("/labels", {"labels": []}, "labels"),
        ("/calibrations", {"judge_version": "never"}, "people labelled"),
    ],
)
async def test_bad_requests(prober: Client, path: str, body: dict[str, object], reason: str) -> None:
    answer = await prober.raw("POST", EVALS + path, json=body)
    assert 400 <= answer.status < 500
    assert reason in check_envelope(answer)["message"]


async def test_samples_of_others_cannot_be_labelled(prober: Client, tenants: Tenants, outsider: Client) -> None:
    run_id = await judged_run(prober, criteria="Others?")
    samples = await samples_of(prober, run_id)
    body = [{"subject": {"kind": "sample", "id": samples[0]["id"]}, "metric": "score", "value": 1}]
    answer = await outsider.raw("POST", f"{EVALS}/labels", json={"labels": body})
    assert 400 <= answer.status < 500
    assert "no such sample" in check_envelope(answer)["message"]


async def test_a_comparison(prober: Client) -> None:
    run_id = await judged_run(prober, VERDICTS, criteria="Compared?")
    other_id = await judged_run(prober, VERDICTS, criteria="Compared, again?")
    found = await got(prober, f"/runs/{run_id}/comparison?baseline_run_id={other_id}")
    [task] = found["tasks"]
    assert (task["verdict"], task["n"], task["difference"], task["p"]) == ("not_decided", 10, 0.0, 1.0)
    same = await prober.raw("GET", f"{EVALS}/runs/{run_id}/comparison")
    assert same.status == 400
    few = await judged_run(prober, VERDICTS[:3], criteria="Compared?")
    differ = await prober.raw("GET", f"{EVALS}/runs/{few}/comparison?baseline_run_id={run_id}")
    assert "3 are on both sides" in check_envelope(differ)["message"]
