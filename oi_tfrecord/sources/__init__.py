"""Where image bytes come from: files, archives, URLs, and the downloader."""
