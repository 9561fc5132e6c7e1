//! A local Slack for demos and tests: the Web API methods a rollback needs, Slack's own rules, faults on demand, and a page to click in.
