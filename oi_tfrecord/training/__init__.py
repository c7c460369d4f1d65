"""Settings of training programs that follow from the records: the Object Detection API's and Model Garden's."""
