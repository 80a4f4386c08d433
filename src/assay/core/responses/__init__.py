"""Responses: model turns and tool calls until an answer or a limit, written down step by step.

A response is made queued, with an outbox START of its workflow (for an agent's run: by that run's workflow). What
happens then is decided by the workflow and written down here, each step in one transaction under a lock on the
response's row:

    begin        queued → in_progress; steps for the tool lists of MCP servers and for calls that a person has allowed
    take_turn    one model turn: its items, and a step for each call it makes
    take_step    one tool call or list: started → finished
    end          → completed | failed | incomplete

    queued ──► in_progress ──► completed | failed | incomplete
      └────────────┴─────────► cancelled      by the caller; the workflow is told afterwards

A finished step is never done again; whoever asks for it is told what came of it. What follows a response (events,
context of later turns) is derived from its items, so nothing can disagree with them. A response that belongs to an
agent's run is mirrored into that run in the same transactions.
"""
