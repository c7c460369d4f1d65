"""Scores detections against the records by the protocols of Open Images and COCO."""
