"""Traces of OpenTelemetry as AI events.

spans.py          OTLP bodies, protobuf and JSON, as plain spans
genai.py          the GenAI semantic conventions, current and older
openinference.py  the OpenInference conventions
messages.py       messages out of numbered attributes
events.py         a span as the event it becomes
"""
