"""Run Beam here and elsewhere: runners, local workers, threads, progress."""
