"""Record batches: header view without decoding, full codec, validation, compression. Pure."""
