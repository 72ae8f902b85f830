"""Independent transcriptions of the papers' equations, against which netac's own algorithms are compared."""
