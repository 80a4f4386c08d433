"""Agents: a model with instructions and tools, kept in versions, run on demand and on schedules.

How a run moves. Whoever starts one (a route, a schedule, a suite's sample, another agent's tool call) writes its row,
``queued``, and an outbox START of the ``agent_run`` workflow (``{"run_id": …}``, named ``agent_run/<run id>``), in one
transaction. The row carries a snapshot of the agent with its function tools resolved, so that later changes do not
reach it. The workflow decides what comes next, and its activities write it down here, through ``progress``::

    begin_run      queued → submitting, once; links the response that the run becomes
    finish_step    one model turn or one tool call: items, events and usage, in one transaction, once for each key
    append_events  events between steps, such as deltas
    sleep_run      what a ``sleep`` call waits for; ``take_wakes`` gives what arrived meanwhile
    ask_approval   a tool call that a person has to allow
    finish_run     submitting → completed | failed | incomplete | cancelled, once, with the terminal event

Each of these locks the run's row, does nothing on a run that has ended, and says so, which is how a cancelled run stops
wherever it is. A step that is in ``agent_run_steps`` has happened: an activity that is started again finds it there
and does not repeat it.

    queued ──► submitting ──► completed | failed | incomplete
      └────────────┴────────► cancelled        by the caller; the workflow is told afterwards
"""
