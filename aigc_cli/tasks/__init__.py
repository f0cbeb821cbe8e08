"""From words to files: attachments, code blocks, languages, safe reading and writing."""
