"""What goes over the wire: inputs, in which a field that is absent differs from one that is null, and outputs."""
