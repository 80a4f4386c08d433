"""What a worker does for a job.

Each kind of job is a plain function that asks for steps: *answer this case with that prompt*, *grade this answer*. The
`Ledger` carries a step out and records it before its result is used, and gives a step that is on record back without
doing it again. So a worker that was killed is succeeded by one that runs the same function from the top: it walks
through what is done in no time and goes on where the other one stopped. For this the functions are deterministic; what
they decide by is in the ledger, or in the job's seed.

    ledger.py      steps, once each; the purse
    target.py      what a job works on: agent, prompt, cases, models
    answering.py   cases answered by a model
    grading.py     answers as scores: eval spec, match, judge
    proposing.py   prompts to try, by the analyzer model
    inference.py, uploads.py, judging.py, tuning.py, backtesting.py   the five kinds
    reports.py     what a person reads
    running.py     from a job's row to its end
"""
