import ArgumentParser
import Commands

Tandem.main()
