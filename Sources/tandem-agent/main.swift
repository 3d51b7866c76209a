import Agent
import Glibc

exit(AgentMain.run(arguments: Array(CommandLine.arguments.dropFirst())))
