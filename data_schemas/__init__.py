"""JSON Schemas of sensorkd's files, installed as `sensorkd.data_schemas`."""
