# Stands in for Google's python311-template-launcher-base, of which the image takes one file.
FROM scratch
COPY python_template_launcher /opt/google/dataflow/python_template_launcher
