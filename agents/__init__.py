"""What the decoder may do: tools, the ReAct loop, policy, memory, sandbox, MCP and trace.

This room is being built: it holds no agent yet. An action that cannot be parsed will not be generated; what a tool
may do will be declared, and policy in code will decide.
"""
