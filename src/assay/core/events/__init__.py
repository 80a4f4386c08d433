"""Events of production traffic: generations, spans, traces, and the results of judging them."""
