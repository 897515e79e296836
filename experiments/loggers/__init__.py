"""Where finished runs can be logged: callbacks that come with tierfetch, each imported when it is asked for."""
