"""HTTP to addresses that users name: webhooks, tools of agents. Guarded against reaching what only this server can."""
