"""What Google publishes: tables, classes, hierarchy, releases."""
