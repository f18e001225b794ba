"""The science of TinySQL: local paths and plain records in, local paths and plain records out."""
