"""
The dialplan (``agi_router.conf``) and its prompts, shipped as files.
"""
